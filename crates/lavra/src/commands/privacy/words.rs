//! What all pages say, in both languages.

use super::facts::Facts;
use super::page::{Cell, Lang, Page, Piece, code, codes, text};
use super::record::stated;
use crate::project::Nearness;

pub fn subtitle(facts: &Facts, lang: Lang) -> String {
    let day = facts.made_at.split('T').next().unwrap_or_default();
    let (project, environment, version) = (&facts.project, &facts.environment, facts.lavra);
    match lang {
        Lang::En => format!("Project {project}, environment {environment}. As of {day}, by Lavra {version}."),
        Lang::Pt => format!("Projeto {project}, ambiente {environment}. Situação em {day}, pelo Lavra {version}."),
    }
}

pub fn days(days: u32, lang: Lang) -> String {
    let unit = match days {
        1 => lang.of("day", "dia"),
        _ => lang.of("days", "dias"),
    };
    format!("{} {unit}", count(days.into(), lang))
}

/// `1,234`, or `1.234`.
pub fn count(number: u64, lang: Lang) -> String {
    let text = crate::show::count(number);
    match lang {
        Lang::En => text,
        Lang::Pt => text.replace(',', "."),
    }
}

pub fn nearness(nearness: Nearness, lang: Lang) -> &'static str {
    match nearness {
        Nearness::Hidden => lang.of("nothing that tells a person apart", "nada que distinga uma pessoa"),
        Nearness::Pseudonymised => lang.of(
            "pseudonymised: hidden, but the keys or another table lead to the person; still personal data",
            "pseudonimizado: oculto, mas as chaves ou outra tabela levam à pessoa; ainda é dado pessoal",
        ),
        Nearness::Readable => lang.of("readable, as a whole or in part", "legível, no todo ou em parte"),
    }
}

/// Who answers for the data.
pub fn parties(page: &mut Page, facts: &Facts, lang: Lang) {
    let mut rows = vec![
        vec![
            text(lang.of("Controller", "Controlador")),
            stated(facts.controller.as_deref(), "lavra.yaml, privacy: controller"),
        ],
        vec![
            text(lang.of("Data protection officer", "Encarregado")),
            stated(facts.dpo.as_deref(), "lavra.yaml, privacy: dpo"),
        ],
    ];
    if let Some(operator) = &facts.operator {
        rows.insert(1, vec![text(lang.of("Processor", "Operador")), text(operator)]);
    }
    page.table(&[lang.of("Role", "Papel"), lang.of("Who", "Quem")], rows);
}

/// Tables made from others that carry personal data.
pub fn flows(page: &mut Page, facts: &Facts, lang: Lang) {
    if facts.flows.is_empty() {
        page.say(text(lang.of(
            "No table that is made from others carries personal data.",
            "Nenhuma tabela feita de outras carrega dados pessoais.",
        )));
    }
    let head = [
        lang.of("Column", "Coluna"),
        lang.of("Carries", "Carrega"),
        lang.of("Made from", "Feita de"),
        lang.of("Why it may be seen", "Por que pode ser vista"),
    ];
    let mut rows = Vec::new();
    for flow in &facts.flows {
        for column in &flow.columns {
            rows.push(vec![
                code(format!("{}.{}", flow.table, column.column)),
                codes(&column.carries),
                codes(&flow.made_from),
                text(column.reason.as_deref().unwrap_or("–")),
            ]);
        }
    }
    page.table(&head, rows);
}

/// What Lavra does by itself, and what the project adds.
pub fn measures(facts: &Facts, lang: Lang) -> Vec<Cell> {
    let masked = facts.activities.iter().flat_map(|activity| &activity.columns).filter(|c| c.mask != "open").count();
    let hidden = match lang {
        Lang::En => format!("{masked} columns are masked before the first byte is stored; so are rows in quarantine."),
        Lang::Pt => format!("{masked} colunas são mascaradas antes de gravar o primeiro byte; a quarentena também."),
    };
    let apart = [
        Piece::Text(
            lang.of("Keys are kept apart from the data, at ", "As chaves ficam separadas dos dados, em ").into(),
        ),
        Piece::Code(facts.keys.clone()),
        Piece::Text(lang.of("; the data is at ", "; os dados ficam em ").into()),
        Piece::Code(facts.lake.clone()),
        Piece::Text(".".into()),
    ];
    let mut all = vec![
        text(hidden),
        apart.to_vec(),
        text(lang.of(
            "Errors, logs and progress hold no value of a row.",
            "Erros, registros e progresso não guardam valor de linha alguma.",
        )),
        text(lang.of(
            "Every version of a table names what it was made from, so each value can be traced to its source.",
            "Cada versão de uma tabela nomeia do que foi feita: todo valor pode ser rastreado até a fonte.",
        )),
        text(match lang {
            Lang::En => format!("Totals over groups of fewer than {} count as personal data.", facts.group_floor),
            Lang::Pt => format!("Totais sobre grupos menores que {} contam como dado pessoal.", facts.group_floor),
        }),
    ];
    for flow in facts.flows.iter().filter(|flow| !flow.checks.is_empty()) {
        let checks: Vec<String> = flow.checks.iter().map(|name| (*name).to_owned()).collect();
        let mut cell = code(&flow.table);
        cell.push(Piece::Text(lang.of(" is held to ", " é submetida a ").into()));
        cell.extend(codes(&checks));
        all.push(cell);
    }
    all.extend(facts.measures.iter().map(text));
    all
}

pub fn missing_table(page: &mut Page, facts: &Facts, lang: Lang) {
    let head = [lang.of("What", "O quê"), lang.of("File", "Arquivo"), lang.of("Where in it", "Onde nele")];
    let row =
        |missing: &super::facts::Missing| vec![text(fact(missing.what, lang)), code(&missing.file), code(&missing.key)];
    page.table(&head, facts.missing.iter().map(row).collect());
}

fn fact(what: &'static str, lang: Lang) -> &'static str {
    match what {
        "controller" => lang.of("Controller", "Controlador"),
        "dpo" => lang.of("Data protection officer", "Encarregado"),
        "owner" => lang.of("Owner of the data", "Dono do dado"),
        "purpose" => lang.of("Purpose", "Finalidade"),
        "legal_basis" => lang.of("Legal basis", "Base legal"),
        "data_subjects" => lang.of("Data subjects", "Titulares"),
        "recipients" => lang.of("Recipients", "Destinatários"),
        "international_transfers" => lang.of("Transfers abroad", "Transferência internacional"),
        "retention" => lang.of("Retention", "Prazo de guarda"),
        other => other,
    }
}
