-- write: merge
-- key: [customer_id]
-- description: Customers without what would name them.
-- tags: [customers]
-- checks: { not_null: [customer_id, person, state], unique: [customer_id] }

select
  customer_id,
  cpf as person,        -- the same token as in silver.payments
  pix_key,
  email,                -- readable with the contact key only
  phone,
  birth_date as born,   -- the first day of the year
  city,
  state,
  created_at
from bronze.customers
