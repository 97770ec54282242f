//! The retention schedule: how long each table is kept, and when the last byte of somebody who was forgotten is gone.

use super::facts::{Facts, Kept};
use super::page::{Cell, Lang, Page, Piece, code, text};
use super::words;
use crate::project::Reason;

pub fn page(facts: &Facts, lang: Lang) -> Page {
    let title = lang.of("Retention schedule", "Tabela de retenção e eliminação");
    let mut page = Page::new(lang, "retention-schedule", title, words::subtitle(facts, lang));
    page.say(vec![match facts.complies {
        true => Piece::Good(
            lang.of("Every table complies with its deadlines.", "Todas as tabelas cumprem seus prazos.").into(),
        ),
        false => Piece::Bad(
            lang.of("This project can't comply; see below.", "Este projeto não cumpre os prazos; veja abaixo.").into(),
        ),
    }]);
    settings(&mut page, facts, lang);
    last_bytes(&mut page, facts, lang);
    ages(&mut page, facts, lang);
    holds(&mut page, facts, lang);
    if facts.retention.is_empty() {
        page.say(text(lang.of("No table carries personal data.", "Nenhuma tabela carrega dados pessoais.")));
    }
    page
}

fn settings(page: &mut Page, facts: &Facts, lang: Lang) {
    let kept = facts.upkeep;
    page.heading(lang.of("Settings", "Configuração"));
    let setting = |label: &str, place: &str, days: u32| vec![text(label), code(place), text(words::days(days, lang))];
    page.table(
        &[lang.of("What", "O quê"), lang.of("In lavra.yaml", "No lavra.yaml"), lang.of("How long", "Prazo")],
        vec![
            setting(
                lang.of("Erasure deadline", "Prazo de eliminação"),
                "privacy.erasure_deadline",
                kept.erasure_deadline_days,
            ),
            setting(
                lang.of("Old versions can be asked for", "Versões antigas podem ser consultadas"),
                "maintenance.versions_kept",
                kept.versions_kept_days,
            ),
            setting(
                lang.of("Files of replaced versions stay", "Arquivos de versões substituídas ficam"),
                "maintenance.vacuum_after",
                kept.vacuum_after_days,
            ),
            setting(
                lang.of("Longest time until upkeep removes them", "Maior espera até a manutenção removê-los"),
                "maintenance.vacuum_every",
                kept.vacuum_every_days,
            ),
            setting(
                lang.of("Rows stay in quarantine", "Linhas ficam na quarentena"),
                "maintenance.quarantine_kept",
                kept.quarantine_kept_days,
            ),
        ],
    );
}

fn last_bytes(page: &mut Page, facts: &Facts, lang: Lang) {
    page.heading(lang.of("When the last byte is gone", "Quando some o último byte"));
    page.say(text(lang.of(
        "Counted from the moment at which somebody is forgotten and the table is written anew without them. Old versions and \
         their files go first; a row in quarantine may be broken in the very column that names its person, so only its age \
         surely removes it. The numbers hold if `lavra run` comes at least as often as old versions are to be removed.",
        "Contado do momento em que a pessoa é esquecida e a tabela é reescrita sem ela. As versões antigas e seus arquivos \
         saem primeiro; uma linha em quarentena pode estar errada justamente na coluna que identifica a pessoa, e só a idade \
         a remove com certeza. Os números valem se o `lavra run` roda ao menos com a frequência em que versões antigas devem sair.",
    )));
    let head = [
        lang.of("Table", "Tabela"),
        lang.of("Old versions", "Versões antigas"),
        lang.of("Quarantine", "Quarentena"),
        lang.of("Last byte", "Último byte"),
        lang.of("Deadline", "Prazo"),
        lang.of("Verdict", "Veredito"),
    ];
    page.table(&head, facts.retention.iter().map(|kept| erasure(kept, lang)).collect());
}

fn ages(page: &mut Page, facts: &Facts, lang: Lang) {
    page.heading(lang.of("How long rows are kept", "Por quanto tempo as linhas são guardadas"));
    page.say(text(lang.of(
        "Contracts say for how long; a table made from several keeps to the strictest. Each `lavra run` deletes rows \
         that are older; what is overdue was not run since, or is held. Age is counted from the day at which a row was taken in.",
        "Os contratos dizem por quanto tempo; uma tabela feita de vários segue o mais rigoroso. Cada `lavra run` apaga as \
         linhas mais antigas; uma tabela vencida não rodou desde então. A idade conta do dia em que a linha entrou.",
    )));
    let head = [
        lang.of("Table", "Tabela"),
        lang.of("Kept for", "Prazo de guarda"),
        lang.of("Rows", "Linhas"),
        lang.of("Oldest row", "Linha mais antiga"),
        lang.of("Verdict", "Veredito"),
    ];
    page.table(&head, facts.retention.iter().map(|kept| keeping(kept, lang)).collect());
}

/// What nobody may erase for now.
fn holds(page: &mut Page, facts: &Facts, lang: Lang) {
    if facts.holds.is_empty() {
        return;
    }
    page.heading(lang.of("Kept by law", "Guarda legal"));
    let head = [
        lang.of("Table or person", "Tabela ou titular"),
        lang.of("Until", "Até"),
        lang.of("Why", "Motivo"),
        lang.of("Ordered by", "Ordem de"),
    ];
    let row = |(what, hold): (&String, &crate::project::LegalHold)| {
        vec![code(what), text(&hold.until), text(&hold.reason), text(hold.by.as_deref().unwrap_or("–"))]
    };
    page.table(&head, facts.holds.iter().map(row).collect());
}

fn erasure(kept: &Kept, lang: Lang) -> Vec<Cell> {
    let verdict = &kept.verdict;
    let days = |days: u32| text(words::days(days, lang));
    vec![
        code(&verdict.table),
        days(verdict.versions_days),
        verdict.quarantine_days.map_or_else(|| text("–"), days),
        days(verdict.last_byte_days),
        days(verdict.deadline_days),
        judged(&verdict.because, lang),
    ]
}

fn judged(because: &[Reason], lang: Lang) -> Cell {
    if because.is_empty() {
        return vec![Piece::Good(lang.of("complies", "cumpre").into())];
    }
    let why = |reason: &Reason| match reason {
        Reason::VersionsOutliveDeadline => {
            lang.of("old versions outlive the deadline", "versões antigas passam do prazo")
        }
        Reason::QuarantineOutlivesDeadline => {
            lang.of("the quarantine outlives the deadline", "a quarentena passa do prazo")
        }
        Reason::RestOutlivesRetention => lang
            .of("what was removed outlives the contract's retention", "o que foi removido passa da guarda do contrato"),
    };
    vec![Piece::Bad(because.iter().map(why).collect::<Vec<_>>().join("; "))]
}

fn keeping(kept: &Kept, lang: Lang) -> Vec<Cell> {
    let verdict = &kept.verdict;
    let places: Vec<String> = verdict.contracts.iter().map(|name| format!("contracts/{name}.yaml")).collect();
    let retention = match verdict.retention_days {
        Some(days) => text(words::days(days, lang)),
        None => vec![Piece::Missing(format!("{}, slaProperties: retention", places.join(", ")))],
    };
    let judged = match (kept.overdue, verdict.retention_days, kept.oldest_days) {
        (true, ..) => Piece::Bad(lang.of("overdue", "vencida").into()),
        (false, Some(_), Some(_)) => Piece::Good(lang.of("within its time", "dentro do prazo").into()),
        _ => Piece::Text("–".into()),
    };
    vec![
        code(&verdict.table),
        retention,
        text(kept.rows.map_or("–".to_owned(), |rows| words::count(rows, lang))),
        text(kept.oldest_days.map_or("–".to_owned(), |days| words::days(days, lang))),
        vec![judged],
    ]
}
