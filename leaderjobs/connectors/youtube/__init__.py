"""YouTube: channels, uploads, videos, comments, and reports of YouTube Analytics.

Every request costs at least a unit of a day's allowance, so everything goes the cheap way: `lists` pages
through a playlist and asks for 50 videos at once, and never searches. `walk` tells a pass over
everything, which finds deletions, from one that stops at what is known; `place` is the marker of both.
`reports` replaces days. `api` counts units and sends, `errors` sorts 403 by its reason.
"""
