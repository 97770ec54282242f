//! `privacy.yaml`: a project's own kinds of personal data, by patterns and dictionaries.

use super::read::Files;
use kernel::Classification;
use kernel::contract::MaskSpec;
use kernel::diagnostic::Diagnostic;
use kernel::draft::{self, Draft, Env, Node};
use kernel::mask::MaskFactory;
use privacy::detect::{Dictionary, OWN_MAX, OwnKind, Pattern, Rule, Validator};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;

/// The file's name, from the project's folder.
pub const PRIVACY_FILE: &str = "privacy.yaml";

/// The folder of the files that dictionaries name.
pub const DICTIONARIES: &str = "dictionaries";

/// `privacy.yaml`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrivacyConfig {
    /// Kinds that are known by a regular expression.
    #[serde(default)]
    pub patterns: Vec<PatternConfig>,
    /// Kinds that are known by a list of words or phrases.
    #[serde(default)]
    pub dictionaries: Vec<DictionaryConfig>,
}

/// A kind that is known by a regular expression.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatternConfig {
    /// A name of its own, as in `employee_id`.
    pub kind: String,
    /// The regular expression (Rust's `regex`), looked for in values; a match ends where a word or number does.
    pub pattern: String,
    /// What columns of the kind are called, in any spelling.
    #[serde(default)]
    pub names: Vec<String>,
    /// A check of what matched: `luhn`, `iban`, `cpf`, …
    #[serde(default)]
    pub validator: Option<String>,
    /// The class of such columns. Default: `personal.<kind>`
    #[serde(default)]
    pub classification: Option<String>,
    /// The mask of the class where its column's contract and `masks` of lavra.yaml name none. Default: `redact`
    #[serde(default)]
    pub mask: Option<String>,
}

/// A kind that is known by a list of words or phrases, without case and accents.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DictionaryConfig {
    /// A name of its own, as in `ward`.
    pub kind: String,
    /// The words or phrases.
    #[serde(default)]
    pub values: Vec<String>,
    /// A file with one on each line: `dictionaries/wards.txt`
    #[serde(default)]
    pub file: Option<String>,
    /// What columns of the kind are called, in any spelling.
    #[serde(default)]
    pub names: Vec<String>,
    /// The class of such columns. Default: `personal.<kind>`
    #[serde(default)]
    pub classification: Option<String>,
    /// The mask of the class where its column's contract and `masks` of lavra.yaml name none. Default: `redact`
    #[serde(default)]
    pub mask: Option<String>,
}

/// Reads the project's own kinds; those with faults are left out.
pub fn own_kinds(files: &Files, env: Env, masks: &dyn MaskFactory) -> (Vec<OwnKind>, Vec<Diagnostic>) {
    let Some(text) = files.texts.get(PRIVACY_FILE) else { return (Vec::new(), Vec::new()) };
    match draft::read::<PrivacyConfig>(PRIVACY_FILE, text, env) {
        Ok(draft) => Reading { files, draft: &draft, masks, faults: Vec::new(), names: BTreeSet::new() }.all(),
        Err(faults) => (Vec::new(), faults),
    }
}

struct Reading<'a> {
    files: &'a Files,
    draft: &'a Draft<PrivacyConfig>,
    masks: &'a dyn MaskFactory,
    faults: Vec<Diagnostic>,
    names: BTreeSet<&'a str>,
}

/// What patterns and dictionaries both say.
struct Common<'a> {
    kind: &'a str,
    names: &'a [String],
    classification: &'a Option<String>,
    mask: &'a Option<String>,
}

impl<'a> Reading<'a> {
    fn all(mut self) -> (Vec<OwnKind>, Vec<Diagnostic>) {
        let mut kinds = Vec::new();
        let config = &self.draft.value;
        for (at, written) in config.patterns.iter().enumerate() {
            let path = format!("patterns[{at}]");
            let PatternConfig { kind, names, classification, mask, .. } = written;
            let rule = self.pattern(written, &path);
            kinds.extend(self.kind(Common { kind, names, classification, mask }, &path, rule));
        }
        for (at, written) in config.dictionaries.iter().enumerate() {
            let path = format!("dictionaries[{at}]");
            let DictionaryConfig { kind, names, classification, mask, .. } = written;
            let rule = self.dictionary(written, &path);
            kinds.extend(self.kind(Common { kind, names, classification, mask }, &path, rule));
        }
        if kinds.len() > OWN_MAX {
            self.fault("", format!("a project can have {OWN_MAX} kinds of its own"), None);
            kinds.truncate(OWN_MAX);
        }
        (kinds, self.faults)
    }

    /// A fault; what a variable put there is not shown.
    fn fault(&mut self, path: &str, message: impl Into<String>, help: Option<String>) {
        self.faults.push(match self.draft.at(path).is_some_and(Node::has_variable) {
            true => self.draft.fault(path, "this does not fit here once its variables are put in"),
            false => self.draft.fault(path, message).help(help),
        });
    }

    fn pattern(&mut self, written: &PatternConfig, path: &str) -> Option<Rule> {
        let validator = match written.validator.as_deref().map(Validator::by_name) {
            None => None,
            Some(Ok(validator)) => Some(validator),
            Some(Err(help)) => {
                self.fault(&format!("{path}.validator"), "there is no such validator", Some(help));
                return None;
            }
        };
        match Pattern::new(&written.pattern, validator) {
            Ok(pattern) => Some(Rule::Pattern(pattern)),
            Err(why) => {
                let help = "write what a value looks like, as in `E[0-9]{6}`".to_owned();
                self.fault(&format!("{path}.pattern"), why, Some(help));
                None
            }
        }
    }

    fn dictionary(&mut self, written: &DictionaryConfig, path: &str) -> Option<Rule> {
        let mut entries: Vec<&str> = written.values.iter().map(String::as_str).collect();
        if let Some(file) = &written.file {
            let Some(text) = self.files.texts.get(file) else {
                let known = self.files.below(DICTIONARIES).map(|(_, path, _)| path);
                let near = kernel::suggest::nearest(file, known).map(|near| format!("did you mean `{near}`?"));
                let help = near.unwrap_or_else(|| format!("put it into `{DICTIONARIES}/`, its name ending in `.txt`"));
                self.fault(&format!("{path}.file"), "there is no such file in the project", Some(help));
                return None;
            };
            entries.extend(text.lines());
        }
        let dictionary = Dictionary::new(entries);
        if dictionary.is_empty() {
            self.fault(path, "this dictionary has no word", Some("write `values: [...]` or `file: ...`".to_owned()));
            return None;
        }
        Some(Rule::Dictionary(dictionary))
    }

    fn kind(&mut self, written: Common<'a>, path: &str, rule: Option<Rule>) -> Option<OwnKind> {
        let before = self.faults.len();
        if let Err(why) = OwnKind::check_name(written.kind) {
            self.fault(&format!("{path}.kind"), why, None);
        } else if !self.names.insert(written.kind) {
            self.fault(&format!("{path}.kind"), format!("there are two kinds `{}`", written.kind), None);
        }
        let class = written.classification.clone().unwrap_or_else(|| format!("personal.{}", written.kind));
        let classification = Classification::new(class);
        if !classification.is_personal() {
            let help = format!("write `personal.{0}` or `sensitive.{0}`", written.kind);
            let message = "this class is not about people, so nothing would be hidden";
            self.fault(&format!("{path}.classification"), message, Some(help));
        }
        let mask = self.mask(written.mask.as_deref().unwrap_or("redact"), &classification, &format!("{path}.mask"));
        let names = written.names.iter().map(|name| name.to_lowercase()).collect();
        match (rule, mask) {
            (Some(rule), Some(mask)) if self.faults.len() == before => {
                Some(OwnKind { name: written.kind.to_owned(), names, classification, mask, rule })
            }
            _ => None,
        }
    }

    fn mask(&mut self, written: &str, class: &Classification, path: &str) -> Option<MaskSpec> {
        let built = MaskSpec::parse(written).and_then(|mask| match self.masks.build(&mask, Some(class)) {
            Ok(_) => Ok(mask),
            Err(why) => Err(why.to_string()),
        });
        built.map_err(|why| self.fault(path, why, None)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use privacy::keys::FixedKeys;
    use privacy::mask::Masks;
    use std::sync::Arc;

    fn read(text: &str) -> (Vec<OwnKind>, String) {
        let mut files = Files::default();
        files.texts.insert(PRIVACY_FILE.to_owned(), text.to_owned());
        files.texts.insert("dictionaries/wards.txt".to_owned(), "Ala Norte\nAla Sul\n".to_owned());
        let (kinds, faults) = own_kinds(&files, &|_| None, &Masks::new(Arc::new(FixedKeys::new(&[1]))));
        (kinds, faults.iter().map(|fault| fault.render(text)).collect())
    }

    #[test]
    fn patterns_and_dictionaries_become_kinds() {
        let (kinds, faults) = read(
            "patterns:\n  - { kind: employee_id, pattern: 'E[0-9]{6}', names: [Matricula Funcional], mask: pseudonym(person) }\n\
             dictionaries:\n  - { kind: ward, file: dictionaries/wards.txt, classification: sensitive.ward }\n",
        );
        assert_eq!(faults, "");
        let told: Vec<(&str, &str, String)> =
            kinds.iter().map(|k| (k.name.as_str(), k.classification.as_str(), k.mask.to_string())).collect();
        assert_eq!(
            told,
            [
                ("employee_id", "personal.employee_id", "pseudonym(person)".to_owned()),
                ("ward", "sensitive.ward", "redact".to_owned())
            ]
        );
    }

    #[test]
    fn every_fault_is_told_at_its_place() {
        for (line, told) in [
            ("{ kind: x, pattern: '[0-9' }", "no regular expression"),
            ("{ kind: x, pattern: '[0-9]*' }", "matches the empty text"),
            ("{ kind: x, pattern: 'a', validator: lunh }", "did you mean `luhn`?"),
            ("{ kind: cpf, pattern: 'a' }", "`cpf` is known already"),
            ("{ kind: x, pattern: 'a', classification: internal }", "write `personal.x`"),
            ("{ kind: x, pattern: 'a', mask: md5 }", "a hash without a key"),
            ("{ kind: x, patern: 'a' }", "did you mean `pattern`?"),
        ] {
            let (kinds, faults) = read(&format!("patterns:\n  - {line}\n"));
            assert!(
                kinds.is_empty() && faults.contains(told) && faults.contains("privacy.yaml:2:"),
                "{line}: {faults}"
            );
        }
        let (_, faults) = read("dictionaries:\n  - { kind: x, file: dictionaries/ward.txt }\n  - { kind: y }\n");
        assert!(
            faults.contains("did you mean `dictionaries/wards.txt`?") && faults.contains("has no word"),
            "{faults}"
        );
        let (_, faults) = read("patterns:\n  - { kind: x, pattern: a }\n  - { kind: x, pattern: b }\n");
        assert!(faults.contains("two kinds `x`"), "{faults}");
    }
}
