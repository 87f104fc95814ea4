log_level = "warn" # sound
log_level = "info"
