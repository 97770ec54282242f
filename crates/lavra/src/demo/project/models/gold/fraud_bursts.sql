-- write: overwrite
-- description: People whose card was tried eight times or more within ten minutes; the busiest ten minutes of each such day.
-- tags: [fraud]
-- exposes: [person: "fraud analysts ask the card team to call whoever it is; only that team has the key"]
-- checks: { not_null: [person, started_at], unique: [person, day] }

with card as (
  select person, cast(paid_at as date) as day, paid_at, merchant_id, amount
  from silver.payments
  where method = 'card'
),
busy as ( -- windows are dear, so only days with enough payments get one
  select person, day from card group by person, day having count(*) >= 8
),
counted as (
  select
    card.*,
    count(*) over last_ten_minutes as payments,
    min(paid_at) over last_ten_minutes as started_at
  from card
  join busy using (person, day)
  window last_ten_minutes as (
    partition by card.person order by card.paid_at range between interval '10 minutes' preceding and current row
  )
),
peaks as (
  select *, row_number() over (partition by person, day order by payments desc, paid_at) as place
  from counted
  where payments >= 8
)
select
  peaks.person,
  peaks.day,
  peaks.started_at,
  peaks.paid_at as ended_at,
  peaks.payments,
  count(distinct card.merchant_id) as merchants,
  sum(card.amount) as amount
from peaks
join card on card.person = peaks.person and card.paid_at between peaks.started_at and peaks.paid_at
where peaks.place = 1
group by peaks.person, peaks.day, peaks.started_at, peaks.paid_at, peaks.payments
having count(distinct card.merchant_id) >= 3
