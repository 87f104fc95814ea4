package bound

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/logs/wanted"
)

const (
	// SettingsFile is the name of the file with the [Settings] in the folder of all output. A
	// group's folder has a file of that name too: see [wanted.FileName].
	SettingsFile = ".output.json"

	version     = 1       // of the settings' files
	maxSettings = 1 << 20 // bytes of such a file
)

// MinSize is the smallest limit of a container's output in bytes. A smaller one counts as this one.
const MinSize = 1 << 20

// Settings are the daemon's, for all groups.
type Settings struct {
	Size    int64         // limit in bytes of an output file for which the group's file has none
	Total   int64         // limit in bytes of all output; 0: a tenth of the disk, and 4 GiB at most
	Removed time.Duration // how long removed output is kept
}

// Defaults are the settings where the daemon has written none.
var Defaults = Settings{Size: 50 << 20, Removed: 24 * time.Hour}

// settingsJSON is the content of the file.
type settingsJSON struct {
	Version        int   `json:"version"`
	Size           int64 `json:"size"`
	Total          int64 `json:"total,omitempty"`
	RemovedSeconds int64 `json:"removed_seconds"`
}

// WriteSettings writes the settings into the folder of all output. The process that runs, or the
// next one, applies them at once. What is there already is not written again, since a full disk
// might have no room for it.
func WriteSettings(logDir string, s Settings) error {
	if readSettings(logDir) == s {
		return nil
	}
	text, err := json.Marshal(settingsJSON{version, s.Size, s.Total, int64(s.Removed / time.Second)})
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(logDir, SettingsFile), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the settings of the output: %w", err)
	}
	return nil
}

// readSettings returns the settings that the daemon wrote last, or the defaults.
func readSettings(logDir string) Settings {
	var s settingsJSON
	if err := readJSON(logDir, &s); err != nil || s.Version != version || s.Size <= 0 || s.Total < 0 || s.RemovedSeconds < 0 {
		return Defaults
	}
	return Settings{s.Size, s.Total, time.Duration(s.RemovedSeconds) * time.Second}
}

// readSizes returns the limits that a group's file asks for, by container. A container that is not
// in it has the default.
func readSizes(dir string) map[string]int64 {
	sizes := map[string]int64{}
	for name, c := range wanted.Read(dir) {
		if c.Size > 0 {
			sizes[name] = c.Size
		}
	}
	return sizes
}

// readJSON reads the settings' file of a folder, if it is a plain file of a sensible size.
func readJSON(dir string, into any) error {
	f, err := os.OpenFile(filepath.Join(dir, SettingsFile), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fs.ErrInvalid)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSettings))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
