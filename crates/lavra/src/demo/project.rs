//! The demo's project, carried inside the program. The files are real ones, so that they can be read and checked as such.

/// `(path inside the project, text)`, in the order in which a reader would open them.
pub const FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("project/README.md")),
    ("lavra.yaml", include_str!("project/lavra.yaml")),
    ("sources/customers.yaml", include_str!("project/sources/customers.yaml")),
    ("sources/merchants.yaml", include_str!("project/sources/merchants.yaml")),
    ("sources/card_payments.yaml", include_str!("project/sources/card_payments.yaml")),
    ("sources/pix_payments.yaml", include_str!("project/sources/pix_payments.yaml")),
    ("contracts/customers.yaml", include_str!("project/contracts/customers.yaml")),
    ("contracts/merchants.yaml", include_str!("project/contracts/merchants.yaml")),
    ("contracts/card_payments.yaml", include_str!("project/contracts/card_payments.yaml")),
    ("contracts/pix_payments.yaml", include_str!("project/contracts/pix_payments.yaml")),
    ("models/silver/customers.sql", include_str!("project/models/silver/customers.sql")),
    ("models/silver/merchants.sql", include_str!("project/models/silver/merchants.sql")),
    ("models/silver/payments.sql", include_str!("project/models/silver/payments.sql")),
    ("models/gold/revenue_by_day.sql", include_str!("project/models/gold/revenue_by_day.sql")),
    ("models/gold/fraud_bursts.sql", include_str!("project/models/gold/fraud_bursts.sql")),
    ("models/gold/cohort_retention.sql", include_str!("project/models/gold/cohort_retention.sql")),
    ("tests/revenue_by_day.yaml", include_str!("project/tests/revenue_by_day.yaml")),
];
