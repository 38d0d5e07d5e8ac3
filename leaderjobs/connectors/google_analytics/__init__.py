"""Google Analytics 4: any set of reports of one property, day by day.

Google restates what it has counted for days, so nothing is appended: a day takes the place of what the
table held of it, in one transaction, however many pages it came in (`connector`). The marker says which
day of a pass is next and which of its pages are staged (`place`); `streams` turns a report's settings
into a table and its rows; `errors` reads quotas and refusals, of which the ten server errors an hour are
the scarcest.
"""
