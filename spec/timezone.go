package spec

import "github.com/sallyport/sallyport/spec/cron"

// timeZone reads the time zone of a container's programs.
func (d *groupDecoder) timeZone(r reader, env map[string]string) string {
	zone, at, ok := r.text("timezone", optional)
	if !ok {
		return ""
	}
	if _, err := cron.Zone(zone); err != nil {
		d.errorf(at, "Invalid timezone", "There is no time zone %s. Write an IANA name: \"Europe/Berlin\", \"America/New_York\" or \"UTC\".", quote(zone))
		return ""
	}
	if _, ok := env["TZ"]; ok {
		d.errorf(r.nameOf("timezone"), "Two time zones", "The environment has TZ, which \"timezone\" sets as well. Keep one of the two.")
	}
	return zone
}

// ZonePath returns where programs look for a time zone, in a container.
func ZonePath(zone string) string { return "/usr/share/zoneinfo/" + zone }
