select person, place['city'] as city, place['state'] as state, tags from bronze.people
