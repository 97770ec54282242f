//! The record of processing activities: LGPD art. 37, GDPR art. 30.

use super::facts::{Activity, Column, Facts};
use super::page::{Cell, Lang, Page, Piece, code, codes, text};
use super::words;

pub fn page(facts: &Facts, lang: Lang) -> Page {
    let title = lang.of("Record of processing activities", "Registro das operações de tratamento");
    let mut page = Page::new(lang, "record-of-processing", title, words::subtitle(facts, lang));
    page.say(text(lang.of(
        "LGPD art. 37 and GDPR art. 30. Written from the project's contracts, models and settings; what these do not state \
         is marked, with the place to state it.",
        "LGPD art. 37 e GDPR art. 30. Escrito a partir dos contratos, modelos e configurações do projeto; o que eles não \
         informam está marcado, com o lugar onde informar.",
    )));
    page.heading(lang.of("Who answers", "Responsáveis"));
    words::parties(&mut page, facts, lang);
    if facts.activities.is_empty() {
        page.say(text(lang.of(
            "No contract of a source classifies a column as personal.",
            "Nenhum contrato de uma fonte classifica uma coluna como dado pessoal.",
        )));
    }
    for activity in &facts.activities {
        of_activity(&mut page, activity, lang);
    }
    page.heading(lang.of("Where it goes inside the lake", "Para onde vai dentro do lago"));
    words::flows(&mut page, facts, lang);
    page.heading(lang.of("Security measures", "Medidas de segurança"));
    page.list(words::measures(facts, lang));
    if !facts.missing.is_empty() {
        page.heading(lang.of("What is still to be stated", "O que ainda falta informar"));
        words::missing_table(&mut page, facts, lang);
    }
    page
}

fn of_activity(page: &mut Page, activity: &Activity, lang: Lang) {
    page.heading(&activity.name);
    let file = format!("contracts/{}.yaml", activity.contract);
    let fact = |label: &str, value: &Option<String>, place: &str| {
        vec![text(label), stated(value.as_deref(), &format!("{file}, {place}"))]
    };
    let days = activity.retention_days.map(|days| words::days(days, lang));
    let transfers = lang.of("Transfers abroad", "Transferência internacional");
    let mut rows = vec![
        vec![text(lang.of("Contract", "Contrato")), code(format!("{} {}", activity.contract, activity.version))],
        vec![text(lang.of("Sources", "Fontes")), codes(&activity.sources)],
    ];
    if let Some(domain) = &activity.domain {
        rows.push(vec![text(lang.of("Domain", "Domínio")), text(domain)]);
    }
    rows.extend([
        fact(lang.of("Controller", "Controlador"), &activity.controller, "customProperties: controller"),
        fact(lang.of("Owner of the data", "Dono do dado"), &activity.owner, "team: members, role: owner"),
        fact(lang.of("Purpose", "Finalidade"), &activity.purpose, "description: purpose"),
        fact(lang.of("Legal basis", "Base legal"), &activity.legal_basis, "customProperties: legal_basis"),
        fact(lang.of("Data subjects", "Titulares"), &activity.data_subjects, "customProperties: data_subjects"),
        fact(lang.of("Recipients", "Destinatários"), &activity.recipients, "customProperties: recipients"),
        fact(transfers, &activity.international_transfers, "customProperties: international_transfers"),
        fact(lang.of("Kept for", "Prazo de guarda"), &days, "slaProperties: retention"),
    ]);
    page.table(&[lang.of("Fact", "Fato"), lang.of("Stated", "Informado")], rows);
    let head = [
        lang.of("Column", "Coluna"),
        lang.of("Class", "Classe"),
        lang.of("Hidden by", "Protegida por"),
        lang.of("What is stored", "O que fica gravado"),
    ];
    page.table(&head, activity.columns.iter().map(|column| of_column(column, lang)).collect());
}

fn of_column(column: &Column, lang: Lang) -> Vec<Cell> {
    vec![
        code(format!("{}.{}", column.table, column.column)),
        code(&column.classification),
        code(&column.mask),
        text(words::nearness(column.nearness, lang)),
    ]
}

/// A fact, or where to state it.
pub fn stated(value: Option<&str>, place: &str) -> Cell {
    match value {
        Some(value) => text(value),
        None => vec![Piece::Missing(place.to_owned())],
    }
}
