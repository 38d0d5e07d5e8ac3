"""A GA4 property: days of figures that are restated, quotas that run out, reports that are thresholded."""
