"""The main job, seen from outside: the real server in front of a real fleet, held against kubectl and InfluxDB."""
