-- write: merge
-- key: [day]
-- description: What was paid on each day (UTC); refunds, declines and chargebacks don't count.
-- tags: [finance]
-- checks: { not_null: [day, revenue], unique: [day] }

select
  cast(paid_at as date) as day,
  count(*) as payments,
  sum(amount) as revenue,
  sum(case when method = 'card' then amount else 0 end) as card_revenue,
  sum(case when method = 'pix' then amount else 0 end) as pix_revenue
from silver.payments
where status = 'approved'
group by 1
