-- write: merge
-- key: [payment_id]
-- description: Card and PIX payments in one shape, each once, however often it was delivered.
-- tags: [payments]
-- checks: # a merge proves its key unique by itself
--   not_null: [payment_id, person, amount, paid_at]
--   accepted: { method: [card, pix], status: [approved, declined, refunded, chargeback] }

with delivered as (
  select payment_id, 'card' as method, customer_id, merchant_id, payer_cpf as person, amount, status, paid_at, _ingested_at
  from bronze.card_payments
  union all
  select payment_id, 'pix', customer_id, merchant_id, payer_cpf, amount, status, paid_at, _ingested_at
  from bronze.pix_payments
),
doubled as ( -- few: numbering every payment, only to drop these, would take ten times as long
  select payment_id from delivered group by payment_id having count(*) > 1
),
numbered as (
  select delivered.*, row_number() over (partition by payment_id order by _ingested_at desc) as delivery
  from delivered
  where payment_id in (select payment_id from doubled)
)
select payment_id, method, customer_id, merchant_id, person, amount, status, paid_at
from delivered
where not exists (select 1 from doubled where doubled.payment_id = delivered.payment_id)
union all
select payment_id, method, customer_id, merchant_id, person, amount, status, paid_at
from numbered
where delivery = 1
