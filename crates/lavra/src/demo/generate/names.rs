//! Words of a Brazilian payments company. The mail domains end in `.example`, which nobody can own (RFC 2606).

pub struct City {
    pub name: &'static str,
    pub state: &'static str,
    pub area_code: &'static str,
    /// The ninth digit of a CPF says where it was issued.
    pub cpf_region: u32,
    /// Chances in a hundred that a person lives there.
    pub share: u32,
}

const fn city(name: &'static str, state: &'static str, area_code: &'static str, cpf_region: u32, share: u32) -> City {
    City { name, state, area_code, cpf_region, share }
}

/// The shares make one hundred.
pub const CITIES: &[City] = &[
    city("São Paulo", "SP", "11", 8, 22),
    city("Rio de Janeiro", "RJ", "21", 7, 13),
    city("Belo Horizonte", "MG", "31", 6, 9),
    city("Salvador", "BA", "71", 5, 7),
    city("Fortaleza", "CE", "85", 3, 6),
    city("Curitiba", "PR", "41", 9, 6),
    city("Brasília", "DF", "61", 1, 6),
    city("Recife", "PE", "81", 4, 5),
    city("Porto Alegre", "RS", "51", 0, 5),
    city("Goiânia", "GO", "62", 1, 4),
    city("Belém", "PA", "91", 2, 4),
    city("Florianópolis", "SC", "48", 9, 3),
    city("Campinas", "SP", "19", 8, 3),
    city("Vitória", "ES", "27", 7, 2),
    city("São Luís", "MA", "98", 3, 2),
    city("João Pessoa", "PB", "83", 4, 2),
    city("Cuiabá", "MT", "65", 1, 1),
];

pub const GIVEN: &[&str] = &[
    "Ana",
    "João",
    "Maria",
    "José",
    "Antônio",
    "Francisca",
    "Luís",
    "Márcia",
    "Paulo",
    "Adriana",
    "Carlos",
    "Juliana",
    "Marcos",
    "Fernanda",
    "Rafael",
    "Patrícia",
    "Luiz",
    "Aline",
    "Daniel",
    "Sandra",
    "Marcelo",
    "Camila",
    "Bruno",
    "Amanda",
    "Eduardo",
    "Bruna",
    "Felipe",
    "Jéssica",
    "Rodrigo",
    "Letícia",
    "Mateus",
    "Júlia",
    "Thiago",
    "Luciana",
    "André",
    "Vanessa",
    "Vinícius",
    "Mariana",
    "Fábio",
    "Gabriela",
    "César",
    "Beatriz",
    "Otávio",
    "Larissa",
    "Sérgio",
    "Íris",
    "Caíque",
    "Thaís",
    "Zilá",
    "Heloísa",
    "Raí",
    "Conceição",
    "Iuri",
    "Iara",
    "Moacir",
    "Jurema",
    "Ubirajara",
    "Luana",
    "Davi",
    "Helena",
];

pub const FAMILY: &[&str] = &[
    "Silva",
    "Santos",
    "Oliveira",
    "Souza",
    "Rodrigues",
    "Ferreira",
    "Alves",
    "Pereira",
    "Lima",
    "Gomes",
    "Costa",
    "Ribeiro",
    "Martins",
    "Carvalho",
    "Almeida",
    "Lopes",
    "Soares",
    "Fernandes",
    "Vieira",
    "Barbosa",
    "Rocha",
    "Dias",
    "Nascimento",
    "Andrade",
    "Moreira",
    "Nunes",
    "Marques",
    "Machado",
    "Mendes",
    "Freitas",
    "Cardoso",
    "Ramos",
    "Gonçalves",
    "Santana",
    "Teixeira",
    "Araújo",
    "Conceição",
    "Assunção",
    "Guimarães",
    "Magalhães",
    "Falcão",
    "Leão",
    "Brandão",
    "Tavares",
    "Queiroz",
    "Sá",
    "Cunha",
    "Pinheiro",
    "Simões",
    "Antunes",
    "Figueiredo",
    "Bittencourt",
    "d’Ávila",
    "Nakamura",
    "Schmidt",
    "Haddad",
];

pub const STREETS: &[&str] = &[
    "Rua das Flores",
    "Avenida Brasil",
    "Rua XV de Novembro",
    "Rua Sete de Setembro",
    "Avenida Getúlio Vargas",
    "Rua São José",
    "Travessa do Comércio",
    "Alameda dos Ipês",
    "Rua Tiradentes",
    "Avenida Paulista",
    "Rua da Conceição",
    "Rua Machado de Assis",
    "Largo do Pelourinho",
    "Rua Barão do Rio Branco",
    "Avenida Atlântica",
    "Rua Chiquinha Gonzaga",
    "Rua Santo Antônio",
    "Rodovia dos Bandeirantes",
    "Rua d’Água",
    "Quadra 302 – Asa Norte",
];

pub const MAIL_DOMAINS: &[&str] = &["correio.example", "mensagem.example", "caixa.example", "provedor.com.example"];

/// Well-known test ranges of the schemes: Visa, Mastercard, Elo, Hipercard.
pub const CARD_BINS: &[u32] = &[411_111, 555_555, 636_368, 606_282];

/// What is sold, in whose shop, at what price: percent of the usual amount.
pub const CATEGORIES: &[(&str, &[&str], u32)] = &[
    ("supermercado", &["Mercado", "Supermercado", "Hortifruti", "Empório"], 130),
    ("restaurante", &["Restaurante", "Cantina", "Churrascaria", "Pastelaria"], 70),
    ("padaria", &["Padaria", "Confeitaria"], 30),
    ("farmácia", &["Farmácia", "Drogaria"], 60),
    ("combustível", &["Posto", "Auto Posto"], 150),
    ("vestuário", &["Modas", "Calçados", "Confecções"], 140),
    ("eletrônicos", &["Eletrônica", "Informática"], 420),
    ("transporte", &["Viação", "Táxi", "Locadora"], 40),
    ("saúde", &["Clínica", "Laboratório", "Ótica"], 260),
    ("educação", &["Colégio", "Escola", "Livraria"], 300),
    ("lazer", &["Cinema", "Teatro", "Pousada"], 110),
];

/// Lower-case ASCII of a name, for an e-mail address.
pub fn ascii(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c.to_lowercase().next().unwrap_or(c) {
            'á' | 'à' | 'â' | 'ã' => Some('a'),
            'é' | 'ê' => Some('e'),
            'í' => Some('i'),
            'ó' | 'ô' | 'õ' => Some('o'),
            'ú' | 'ü' => Some('u'),
            'ç' => Some('c'),
            letter if letter.is_ascii_alphanumeric() => Some(letter),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_make_one_hundred() {
        assert_eq!(CITIES.iter().map(|city| city.share).sum::<u32>(), 100);
    }

    #[test]
    fn every_name_can_be_an_address() {
        assert_eq!(ascii("d’Ávila"), "davila");
        assert_eq!(ascii("Conceição"), "conceicao");
        for name in GIVEN.iter().chain(FAMILY) {
            assert!(ascii(name).len() >= 2, "{name}");
        }
    }
}
