-- write: merge
-- key: [id]
with named as (
  select p.*, q.place['state'] as state
  from bronze.payments p
  left join bronze.people q on p.person = q.person
)
select id, person, state, amount, rate, at, wall, day from named
