-- How many incidents are open is asked at every look at the metrics.

create index incidents_by_status_severity on incidents ("status", "severity");
