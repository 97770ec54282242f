//! A draft of the impact assessment: RIPD (LGPD art. 5, XVII and art. 38), DPIA (GDPR art. 35). What the project shows is
//! written in; what is a judgement is left to who answers for it, and says so.

use super::facts::{Facts, Flow};
use super::page::{Cell, Lang, Page, Piece, codes, text};
use super::words;
use crate::project::Nearness;
use std::collections::BTreeSet;

pub fn page(facts: &Facts, lang: Lang) -> Page {
    let title = lang.of(
        "Data protection impact assessment (draft)",
        "Relatório de impacto à proteção de dados pessoais, RIPD (minuta)",
    );
    let mut page = Page::new(lang, "impact-assessment", title, words::subtitle(facts, lang));
    page.say(text(lang.of(
        "LGPD art. 5, XVII and art. 38; GDPR art. 35. A draft: sections 1, 3 and 4 are facts of the project, section 2 and the \
         opinion are for people to write.",
        "LGPD art. 5º, XVII e art. 38; GDPR art. 35. Minuta: as seções 1, 3 e 4 são fatos do projeto; a seção 2 e o parecer \
         cabem a pessoas.",
    )));
    words::parties(&mut page, facts, lang);
    page.heading(lang.of("1. What is processed", "1. O que é tratado"));
    let head = [
        lang.of("Processing", "Tratamento"),
        lang.of("Purpose", "Finalidade"),
        lang.of("Classes of data", "Classes de dados"),
        lang.of("Legal basis", "Base legal"),
    ];
    page.table(&head, facts.activities.iter().map(processing).collect());
    words::flows(&mut page, facts, lang);
    page.heading(lang.of("2. Necessity and proportionality", "2. Necessidade e proporcionalidade"));
    page.list(vec![
        to_write(
            lang.of(
                "why each class of data above is needed for its purpose, and why less would not do",
                "por que cada classe de dados acima é necessária à finalidade, e por que menos não bastaria",
            ),
            lang,
        ),
        to_write(
            lang.of(
                "how people are told of it and use their rights",
                "como os titulares são informados e exercem seus direitos",
            ),
            lang,
        ),
    ]);
    page.heading(lang.of("3. Risks that the project shows", "3. Riscos que o projeto mostra"));
    let risks = risks(facts, lang);
    if risks.is_empty() {
        page.say(text(lang.of("None was found.", "Nenhum foi encontrado.")));
    }
    let head = [lang.of("Risk", "Risco"), lang.of("Where", "Onde"), lang.of("What reduces it", "O que o reduz")];
    page.table(&head, risks);
    page.heading(lang.of("4. Measures", "4. Medidas"));
    page.list(words::measures(facts, lang));
    page.heading(lang.of("5. Opinion", "5. Parecer"));
    page.list(vec![
        to_write(lang.of("opinion of the data protection officer", "parecer do encarregado"), lang),
        to_write(
            lang.of("decision of the controller, date and signature", "decisão do controlador, data e assinatura"),
            lang,
        ),
    ]);
    page
}

fn processing(activity: &super::facts::Activity) -> Vec<Cell> {
    let classes: BTreeSet<&String> = activity.columns.iter().map(|column| &column.classification).collect();
    let place = |key: &str| format!("contracts/{}.yaml, {key}", activity.contract);
    vec![
        text(&activity.name),
        super::record::stated(activity.purpose.as_deref(), &place("description: purpose")),
        codes(classes),
        super::record::stated(activity.legal_basis.as_deref(), &place("customProperties: legal_basis")),
    ]
}

fn to_write(what: &str, lang: Lang) -> Cell {
    let ask = lang.of("to be written by the controller", "a ser escrito pelo controlador");
    vec![Piece::Missing(format!("{what} ({ask})"))]
}

/// Each with the places it is seen at; a risk that is seen nowhere is not in the list.
fn risks(facts: &Facts, lang: Lang) -> Vec<Vec<Cell>> {
    let mut all = Vec::new();
    let mut add = |risk: &str, places: Vec<String>, reduces: &str| {
        if !places.is_empty() {
            all.push(vec![text(risk), codes(&places), text(reduces)]);
        }
    };
    let columns = || facts.activities.iter().flat_map(|activity| &activity.columns);
    let named = |column: &super::facts::Column| format!("{}.{}", column.table, column.column);
    add(
        lang.of(
            "Sensitive data is stored (LGPD art. 11, GDPR art. 9)",
            "Dados sensíveis são gravados (LGPD art. 11, GDPR art. 9)",
        ),
        columns()
            .filter(|c| c.classification.starts_with("sensitive") && c.nearness > Nearness::Hidden)
            .map(named)
            .collect(),
        lang.of(
            "a mask that tells nobody apart (`redact`, `generalize`)",
            "uma máscara que não distinga ninguém (`redact`, `generalize`)",
        ),
    );
    add(
        lang.of("Personal data, or a part of it, can be read", "Dados pessoais, ou parte deles, podem ser lidos"),
        columns().filter(|c| c.nearness == Nearness::Readable).map(named).collect(),
        lang.of("a pseudonym, or encryption with a key of its own", "um pseudônimo, ou cifra com chave própria"),
    );
    let gold = || facts.flows.iter().filter(|flow| flow.table.starts_with("gold."));
    add(
        lang.of(
            "People can be told apart in a table made for reading",
            "Pessoas podem ser distinguidas em tabela feita para leitura",
        ),
        gold().flat_map(|flow| flow.columns.iter().map(move |c| format!("{}.{}", flow.table, c.column))).collect(),
        lang.of(
            "totals over large groups; else the reason that the model states",
            "totais sobre grupos grandes; senão, o motivo que o modelo declara",
        ),
    );
    let unmeasured = |flow: &&Flow| flow.checks.is_empty();
    add(
        lang.of("Nothing measures whether people can be found again", "Nada mede se pessoas podem ser reidentificadas"),
        gold().filter(unmeasured).map(|flow| flow.table.clone()).collect(),
        lang.of(
            "checks: k_anonymity, l_diversity, t_closeness, uniqueness",
            "checks: k_anonymity, l_diversity, t_closeness, uniqueness",
        ),
    );
    add(
        lang.of("Data outlives a deadline", "Dados passam de um prazo"),
        facts.retention.iter().filter(|k| !k.verdict.complies || k.overdue).map(|k| k.verdict.table.clone()).collect(),
        lang.of(
            "shorter times in `maintenance`; see the retention schedule",
            "prazos menores em `maintenance`; veja a tabela de retenção",
        ),
    );
    let files: BTreeSet<String> = facts.missing.iter().map(|missing| missing.file.clone()).collect();
    add(
        lang.of("The record of processing has gaps", "O registro das operações tem lacunas"),
        files.into_iter().collect(),
        lang.of("state what it lists as missing", "informar o que ele lista como faltante"),
    );
    all
}
