package store

import (
	"path/filepath"
	"strconv"
)

func (s *Store) filePath(name string) string { return filepath.Join(s.layout.GroupsDir, name) }

func (s *Store) intentPath() string { return filepath.Join(s.layout.StateDir, "install.json") }

func (s *Store) appliedPath(file string) string { return s.statePath("applied", file) }

func (s *Store) wantedPath(group string) string { return s.statePath("wanted", group) }

func (s *Store) stoppedPath(group string) string { return s.statePath("stopped", group) }

func (s *Store) historyPath(group string) string { return s.statePath("history", group) }

func (s *Store) endedPath(group string) string { return s.statePath("ended", group) }

func (s *Store) restartsPath(group string) string { return s.statePath("lives", group) }

func (s *Store) runPath(group string) string { return s.statePath("timeouts", group) }

func (s *Store) schedulePath(group string) string { return s.statePath("schedules", group) }

func (s *Store) statePath(folder, name string) string {
	return filepath.Join(s.layout.StateDir, folder, name+".json")
}

func (s *Store) generationsDir() string { return filepath.Join(s.layout.StateDir, "generations") }

func (s *Store) definitionPath(group string, number int) string {
	return filepath.Join(s.generationsDir(), group+"."+strconv.Itoa(number)+".json")
}

// definitionsPattern matches the files of all definitions of a group. A group's name has no dot, so
// it matches no other group's.
func (s *Store) definitionsPattern(group string) string {
	return filepath.Join(s.generationsDir(), group+".*.json")
}
