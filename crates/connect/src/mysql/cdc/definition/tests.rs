use super::*;

const ORDERS: Names<'_> = Names { database: "shop", name: "orders", has_case: true };

/// The columns behind statements one after another, each as its name, its kind and what else is known.
fn told(statements: &[&str]) -> Option<String> {
    let scene = Scene { session: "shop", table: ORDERS, is_mariadb: true };
    let mut written = Written::default();
    for sql in statements {
        written = after(sql, Some(&written), &scene)?;
    }
    let shown = |column: &Drawn| {
        let words: Vec<&str> = column.labels.iter().flatten().map(String::as_str).collect();
        let sign = if column.unsigned { "+" } else { "" };
        format!("{}:{:?}{sign}{}{}", column.name, column.kind, column.charset, words.join("/"))
    };
    Some(written.columns.iter().map(shown).collect::<Vec<_>>().join(" "))
}

const TABLE: &str = "CREATE TABLE orders (id INT UNSIGNED PRIMARY KEY, a VARCHAR(9) NOT NULL DEFAULT 'x,y', \
    e ENUM('x','it''s'), KEY k (a), CONSTRAINT c CHECK (id > 0)) ENGINE=InnoDB DEFAULT CHARSET=latin1";

#[test]
fn statements_move_the_columns_on() {
    let first = "id:Int+ a:Textlatin1 e:Enumx/it's";
    assert_eq!(told(&[TABLE]).expect("columns"), first);
    for (sql, expected) in [
        ("ALTER TABLE orders ADD COLUMN b TEXT", format!("{first} b:Textlatin1")),
        ("alter table `shop`.`orders` add b text charset utf8mb4 /* of us */;", format!("{first} b:Textutf8mb4")),
        ("ALTER TABLE orders ADD b INT UNSIGNED AFTER id", "id:Int+ b:Int+ a:Textlatin1 e:Enumx/it's".into()),
        ("ALTER TABLE orders ADD b DECIMAL(9,2) DEFAULT (1,2) FIRST", format!("b:Decimal {first}")),
        ("ALTER TABLE orders ADD (b DATE, c BLOB, KEY (b))", format!("{first} b:Date c:Bytes")),
        ("ALTER TABLE orders ADD IF NOT EXISTS A INT, ADD c BIT(3)", format!("{first} c:Bit(3)")),
        ("ALTER TABLE orders DROP a, ADD c VARCHAR(9) AFTER id", "id:Int+ c:Textlatin1 e:Enumx/it's".into()),
        ("ALTER TABLE orders DROP COLUMN IF EXISTS z, DROP KEY k", first.into()),
        ("ALTER TABLE orders MODIFY e ENUM('it''s', 'x ') FIRST", "e:Enumit's/x id:Int+ a:Textlatin1".into()),
        ("ALTER TABLE orders CHANGE a b TEXT COLLATE utf8mb4_bin", "id:Int+ b:Textutf8mb4 e:Enumx/it's".into()),
        ("ALTER TABLE orders RENAME COLUMN a TO b", "id:Int+ b:Textlatin1 e:Enumx/it's".into()),
        ("ALTER TABLE orders CONVERT TO CHARACTER SET utf8mb4", "id:Int+ a:Textutf8mb4 e:Enumx/it's".into()),
        ("ALTER TABLE orders ADD INDEX i (a), ENGINE=InnoDB ROW_FORMAT = DYNAMIC, ALGORITHM=INPLACE", first.into()),
        ("ALTER TABLE orders PARTITION BY HASH (id) PARTITIONS 2", first.into()),
        ("ALTER TABLE lines ADD FOREIGN KEY (o) REFERENCES orders (id), ADD z INT", first.into()),
        ("ALTER TABLE other.orders ADD z INT", first.into()),
        ("CREATE INDEX i ON orders (a)", first.into()),
        ("CREATE TABLE IF NOT EXISTS orders (id INT)", first.into()),
        ("CREATE OR REPLACE TABLE orders (id BIGINT)", "id:Int".into()),
        ("TRUNCATE TABLE orders", first.into()),
        ("DROP TABLE orders", String::new()),
    ] {
        assert_eq!(told(&[TABLE, sql]).as_deref(), Some(&*expected), "{sql}");
    }
    let moved = ["ALTER TABLE orders DEFAULT CHARSET = utf8mb4", "ALTER TABLE orders ADD b TEXT"];
    assert_eq!(told(&[TABLE, moved[0], moved[1]]).expect("columns"), format!("{first} b:Textutf8mb4"));
}

#[test]
fn what_is_not_known_is_known_again_when_the_table_is_made_anew() {
    let scene = Scene { session: "shop", table: ORDERS, is_mariadb: true };
    assert_eq!(after("TRUNCATE orders", None, &scene), None);
    assert_eq!(after("CREATE TABLE IF NOT EXISTS orders (id INT)", None, &scene), None);
    assert_eq!(after("DROP TABLE orders", None, &scene), Some(Written::default()));
}

#[test]
fn what_a_statement_does_not_tell_is_not_guessed() {
    for sql in [
        "ALTER TABLE orders ADD b INT AFTER nobody",
        "ALTER TABLE orders ADD b POINTED",
        "ALTER TABLE orders ADD b ENUM('\\n')",
        "ALTER TABLE orders ADD b NATIONAL CHAR(3)",
        "ALTER TABLE orders DROP COLUMN nobody",
        "ALTER TABLE orders RENAME COLUMN a TO e, RENAME COLUMN e TO a",
        "ALTER TABLE orders CONVERT TO CHARACTER SET DEFAULT",
        "ALTER TABLE orders ADD SYSTEM VERSIONING",
        "ALTER TABLE orders SOMETHING NEW",
        "ALTER TABLE orders ADD b INT DEFAULT 'x",
        "CREATE OR REPLACE TABLE orders LIKE b",
        "CREATE OR REPLACE TABLE orders (LIKE b)",
        "CREATE OR REPLACE TABLE orders (id INT) AS SELECT 1 AS b",
    ] {
        assert_eq!(told(&[TABLE, sql]), None, "{sql}");
    }
}
