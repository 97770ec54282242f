select
  id,
  person,
  sum(amount) over (partition by person order by at) as so_far,
  lag(amount) over (partition by person order by at) as before,
  rank() over (order by amount desc) as place
from silver.payments
where person is not null
