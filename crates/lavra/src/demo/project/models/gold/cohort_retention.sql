-- write: overwrite
-- description: Of the people who first paid in a month, how many pay in the months after.
-- tags: [growth]
-- checks: { not_null: [cohort, months_later, people], unique: [cohort, months_later] }

with active as ( -- months are counted from the year 0, so that two of them can be subtracted
  select distinct person, extract(year from paid_at) * 12 + extract(month from paid_at) - 1 as month
  from silver.payments
  where status = 'approved'
),
joined as (
  select person, min(month) as first_month from active group by person
),
counted as (
  select first_month, month - first_month as months_later, count(*) as people
  from active
  join joined using (person)
  group by 1, 2
)
select
  make_date(first_month / 12, first_month % 12 + 1, 1) as cohort,
  months_later,
  people,
  cast(people as double) / first_value(people) over (partition by first_month order by months_later) as share
from counted
