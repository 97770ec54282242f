//! What a column's name says, in any spelling: `DataNascimento`, `data_de_nascimento`, `DT-NASC`.

use super::kinds::{COUNT, Id, Set, kinds};
use super::own::OwnKind;

/// Words that only stand between others.
const FILLERS: [&str; 12] = ["de", "do", "da", "dos", "das", "of", "the", "del", "du", "nr", "num", "nro"];

/// A name of these is the name of a thing, not of a person.
const THINGS: [&str; 38] = [
    "product",
    "produto",
    "item",
    "sku",
    "loja",
    "merchant",
    "store",
    "shop",
    "company",
    "empresa",
    "fantasia",
    "razao",
    "organization",
    "cidade",
    "city",
    "municipio",
    "bairro",
    "file",
    "arquivo",
    "table",
    "tabela",
    "category",
    "categoria",
    "country",
    "pais",
    "estado",
    "state",
    "brand",
    "marca",
    "host",
    "event",
    "evento",
    "model",
    "modelo",
    "bank",
    "banco",
    "campaign",
    "campanha",
];

/// Last words that make the name one of something else: `holder_type`, `address_id`.
const QUALIFIERS: [&str; 22] = [
    "type",
    "tipo",
    "status",
    "situacao",
    "id",
    "code",
    "codigo",
    "count",
    "qtd",
    "quantidade",
    "flag",
    "at",
    "date",
    "data",
    "hash",
    "token",
    "domain",
    "provider",
    "length",
    "level",
    "kind",
    "group",
];

/// What words alone can make of a value: there a name's word is trusted least.
const OF_WORDS: Set = Set::of(&[Id::PersonName, Id::Address]);

/// A column's name as lower-case words without accents.
pub(super) struct ColumnName {
    words: Vec<String>,
    joined: String,
}

impl ColumnName {
    pub fn new(name: &str) -> Self {
        let words: Vec<String> = split(name).into_iter().filter(|word| !FILLERS.contains(&word.as_str())).collect();
        let joined = words.concat();
        Self { words, joined }
    }

    /// The kinds that the name speaks of, the project's own among them.
    pub fn hints(&self, own: &[OwnKind]) -> Set {
        let mut set = Set::default();
        for kind in kinds().iter().filter(|kind| kind.hints.iter().any(|hint| self.says(hint))) {
            set.add(kind.id.place());
        }
        for (at, _) in own.iter().enumerate().filter(|(_, kind)| kind.names.iter().any(|name| self.says_name(name))) {
            set.add(COUNT + at);
        }
        let qualified = self.words.last().is_some_and(|last| QUALIFIERS.contains(&last.as_str()));
        if qualified { set.without(OF_WORDS) } else { set }
    }

    /// A name as a person writes it, in any spelling of its own.
    fn says_name(&self, name: &str) -> bool {
        self.says(&split(name).join(" "))
    }

    fn says(&self, hint: &str) -> bool {
        if let Some(whole) = hint.strip_prefix('=') {
            return self.joined == whole;
        }
        let phrase: Vec<&str> = hint.split(' ').collect();
        let joined = phrase.concat();
        let run = self.words.windows(phrase.len()).any(|run| run.iter().eq(phrase.iter()));
        // `cpfcliente`, `emailpagador`: long words stand out without a separator, short ones turn up by chance.
        let glued = (joined.len() >= 5 || joined == "cpf" || joined == "cnpj")
            && (self.joined.starts_with(&joined) || self.joined.ends_with(&joined));
        run || glued
    }

    /// Whether it is the name of a thing: `product_name`, `nome_fantasia`.
    pub fn is_of_a_thing(&self) -> bool {
        self.words.iter().any(|word| THINGS.contains(&word.as_str()))
    }

    /// Whether it speaks of a date, so that `20250131` is one and not a number.
    pub fn is_of_a_date(&self) -> bool {
        let dates = ["date", "data", "dt", "dia", "day", "nascimento", "nasc", "birth", "dob", "fecha", "datum"];
        self.words.iter().any(|word| dates.contains(&word.as_str()))
    }
}

/// Words of `snake_case`, `kebab-case`, `camelCase` and `PascalCase`.
fn split(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let starts = c.is_uppercase() && before.is_lowercase();
        if starts || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase().map(unaccented));
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The letter under the accent, for those of the languages that names and hints are written in.
pub(super) fn unaccented(c: char) -> char {
    match c {
        'á' | 'à' | 'â' | 'ã' | 'ä' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hinted(name: &str) -> Vec<&'static str> {
        ColumnName::new(name).hints(&[]).places().map(|at| kinds()[at].name).collect()
    }

    #[test]
    fn names_say_what_they_hold_in_any_spelling() {
        for name in ["cpf", "payer_cpf", "CPF_CLIENTE", "cpfPagador", "NumeroCpf", "nr_cpf", "cpfcliente"] {
            assert_eq!(hinted(name), ["cpf"], "{name}");
        }
        for name in ["DataNascimento", "data_de_nascimento", "DT-NASC", "birthDate", "dob", "datanascimento"] {
            assert_eq!(hinted(name), ["birth_date"], "{name}");
        }
        assert_eq!(hinted("endereço"), ["address"]);
        assert_eq!(hinted("e-mail"), ["email"]);
        assert_eq!(hinted("nome_do_cliente"), ["person_name"]);
        assert_eq!((hinted("chave_pix"), hinted("pix")), (vec!["pix_key"], vec!["pix_key"]));
    }

    #[test]
    fn innocent_names_say_nothing() {
        for name in [
            "amount",
            "recepcao",
            "ship_date",
            "description",
            "order_id",
            "nome",
            "tipo",
            "margem",
            "total",
            "account_holder_type",
            "address_id",
            "pix_id",
        ] {
            assert_eq!(hinted(name), [""; 0], "{name}");
        }
        assert!(ColumnName::new("productName").is_of_a_thing() && ColumnName::new("nome_fantasia").is_of_a_thing());
        assert!(ColumnName::new("dt_pedido").is_of_a_date() && !ColumnName::new("update").is_of_a_date());
    }
}
