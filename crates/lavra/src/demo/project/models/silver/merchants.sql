-- write: scd2
-- key: [merchant_id]
-- time: known_since
-- description: Shops and what they were before; a changed row ends the one before it.
-- tags: [merchants]
-- checks: { not_null: [merchant_id, cnpj] }

select
  merchant_id,
  cnpj,
  legal_name,
  category,
  opened_on,
  location['city'] as city,
  location['state'] as state,
  known_since
from bronze.merchants
