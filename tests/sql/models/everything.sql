select 'payment' as kind, person, amount from silver.payments
union all
select 'person', person, null from silver.people
union all
select 'total', null, sum(amount) from silver.payments
