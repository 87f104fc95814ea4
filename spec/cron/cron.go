// Package cron reads times in the syntax of cron, and computes when they come in a time zone.
//
// It is no part of package spec because a time zone's rules may be those of the machine. The names
// of zones are the same everywhere: a machine without them has those that are built in.
package cron

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // of a machine that has none

	robfig "github.com/robfig/cron/v3"
)

// Times are the moments that an expression stands for. They are on a wall clock: without a zone
// they are no moments yet. The zero value has none.
type Times struct {
	rules robfig.Schedule // in UTC, which stands for the wall clock
	// everyHour means that the hour is "*" or "*/N". Then a time of the wall clock that comes twice
	// counts twice, and one that does not come is left out.
	everyHour bool
}

// A field is one of the five fields of an expression.
type field struct {
	name  string
	names []string
}

var fields = []field{
	{name: "minute"},
	{name: "hour"},
	{name: "day of the month"},
	{name: "month", names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{name: "day of the week", names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// shorthands are the words for an expression.
var shorthands = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// item matches one item of a field's list.
var item = regexp.MustCompile(`^(\*|([0-9]+|[a-z]+)(-([0-9]+|[a-z]+))?)(/[0-9]+)?$`)

var parser = robfig.NewParser(robfig.Minute | robfig.Hour | robfig.Dom | robfig.Month | robfig.Dow)

// Parse reads an expression: five fields, or a word such as "@daily". An expression that stands for
// no time at all is an error, such as the 30th of February.
func Parse(text string) (Times, error) {
	expression := strings.ToLower(strings.TrimSpace(text))
	if strings.HasPrefix(expression, "@") {
		var err error
		if expression, err = longhand(expression); err != nil {
			return Times{}, err
		}
	}
	parts := strings.Fields(expression)
	switch {
	case len(parts) == 6:
		return Times{}, errors.New("it has 6 fields: the finest time is a minute, and the fields are minute, hour, day of the month, month, day of the week")
	case len(parts) != len(fields):
		return Times{}, fmt.Errorf("it has %d fields, and needs 5: minute, hour, day of the month, month, day of the week", len(parts))
	}
	for i, part := range parts {
		var err error
		if parts[i], err = checkField(fields[i], i, part); err != nil {
			return Times{}, fmt.Errorf("%s %q: %w", fields[i].name, part, err)
		}
	}
	rules, err := parser.Parse("TZ=UTC " + strings.Join(parts, " "))
	if err != nil {
		return Times{}, err
	}
	t := Times{rules: rules, everyHour: strings.HasPrefix(parts[1], "*")}
	if t.rules.Next(firstDay).IsZero() {
		return Times{}, errors.New("no such day ever comes")
	}
	return t, nil
}

// firstDay begins a leap year, so that each day comes within five years of it.
var firstDay = time.Date(2023, time.December, 31, 23, 59, 59, 0, time.UTC)

func longhand(word string) (string, error) {
	switch long, ok := shorthands[word]; {
	case ok:
		return long, nil
	case strings.HasPrefix(word, "@every"):
		return "", errors.New(`"@every" counts from no time of the clock: write "*/5 * * * *" for every five minutes`)
	case word == "@reboot":
		return "", errors.New(`"@reboot" is no time: a group without a schedule starts with the host`)
	}
	return "", fmt.Errorf("%q is unknown: there are @hourly, @daily, @weekly, @monthly and @yearly", word)
}

// checkField checks a field by itself, so that an error names it. It returns the field as the
// library takes it.
func checkField(f field, index int, text string) (string, error) {
	items := strings.Split(text, ",")
	for i, it := range items {
		m := item.FindStringSubmatch(it)
		if m == nil {
			return "", fmt.Errorf("%q is no number, range or list: write such as 5, 1-5, 1,15 or */10", it)
		}
		for _, word := range []string{m[2], m[4]} {
			if word != "" && word[0] > '9' && !slices.Contains(f.names, word) {
				return "", fmt.Errorf("%q is no number and no name", word)
			}
		}
		if m[2] != "" && m[3] == "" && m[5] != "" {
			return "", fmt.Errorf("%q has a step and no range: write such as %s-%d%s", it, m[2], last(index), m[5])
		}
		if index == len(fields)-1 {
			items[i] = sunday(it, m)
		}
	}
	whole := slices.Repeat([]string{"*"}, len(fields))
	whole[index] = strings.Join(items, ",")
	if _, err := parser.Parse(strings.Join(whole, " ")); err != nil {
		return "", err
	}
	return whole[index], nil
}

// last returns the greatest number of a field.
func last(index int) int { return []int{59, 23, 31, 12, 6}[index] }

// sunday returns an item of the days of the week without the number 7, which is Sunday, as 0 is.
func sunday(it string, m []string) string {
	if m[2] == "7" && m[3] == "" {
		return "0"
	}
	if m[4] != "7" {
		return it
	}
	from, err := strconv.Atoi(m[2])
	if i := slices.Index(fields[len(fields)-1].names, m[2]); i >= 0 {
		from, err = i, nil
	}
	step := 1
	if err == nil && m[5] != "" {
		step, err = strconv.Atoi(m[5][1:])
	}
	if err != nil || step == 0 || from > 7 {
		return it // which is an error
	}
	var days []string
	for day := from; day <= 7; day += step {
		days = append(days, strconv.Itoa(day%7))
	}
	return strings.Join(days, ",")
}

// Zone returns a time zone by its IANA name, such as "Europe/Berlin".
func Zone(name string) (*time.Location, error) {
	if name == "" || strings.EqualFold(name, "local") { // which time takes for UTC, and for that of the machine
		return nil, errors.New("it is no IANA name")
	}
	return time.LoadLocation(name)
}

// Next returns the first moment after another one. Zero means that none comes within five years.
//
// Where clocks go forward, a time that does not exist counts as the moment of the change, unless
// the hour is "*". Where they go back, a time that comes twice counts the first time, unless the
// hour is "*".
func (t Times) Next(after time.Time, zone *time.Location) time.Time {
	if t.rules == nil {
		return time.Time{}
	}
	at := after.In(zone)
	from := wall(at)
	for {
		// Within the bounds of at, the wall clock is that of UTC and a constant.
		start, end := at.ZoneBounds()
		if !end.IsZero() && !end.After(at) { // on the last day of a leap year, see tzset in package time
			end = at.Add(24 * time.Hour)
		}
		if before := start.Add(-1); !t.everyHour && !start.IsZero() && offset(before) > offset(at) {
			// The wall clock shows these times for the second time.
			if again := start.UTC().Add(offset(before) - 1); again.After(from) {
				from = again
			}
		}
		next := t.rules.Next(from)
		if next.IsZero() {
			return time.Time{}
		}
		if moment := next.Add(-offset(at)); end.IsZero() || moment.Before(end) {
			return moment.In(zone)
		}
		if !t.everyHour && next.Before(wall(end)) {
			return end.In(zone)
		}
		at, from = end, wall(end).Add(-1)
	}
}

// offset returns how far the wall clock is ahead of UTC.
func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// wall returns what the wall clock shows, as a time of UTC.
func wall(t time.Time) time.Time { return t.UTC().Add(offset(t)) }

// mostGaps is how many times are looked at for the shortest gap. It is more than a day of minutes.
const mostGaps = 1500

// Shortest returns the shortest time between two moments, as on a clock that is never changed.
func (t Times) Shortest() time.Duration {
	var shortest time.Duration
	at := t.rules.Next(firstDay)
	for range mostGaps {
		next := t.rules.Next(at)
		if next.IsZero() {
			break
		}
		if gap := next.Sub(at); shortest == 0 || gap < shortest {
			shortest = gap
		}
		at = next
	}
	return shortest
}
