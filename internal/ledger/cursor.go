// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const cursorsDir = "cursors"

// LoadCursor reads how far a reader with a name has got: the position of the entry
// that it takes next. Without a cursor it is the zero Position, which is the beginning.
func LoadCursor(dir, name string) (Position, error) {
	path, err := cursorPath(dir, name)
	if err != nil {
		return Position{}, err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, fmt.Errorf("reading the cursor %s: %w", name, err)
	}
	var at Position
	if err := json.Unmarshal(data, &at); err != nil {
		return Position{}, fmt.Errorf("reading the cursor %s: %w", name, err)
	}
	return at, nil
}

// SaveCursor keeps it, durably and whole: who is killed leaves the one before. A cursor
// is saved after its entries were taken, so they are taken at least once.
func SaveCursor(dir, name string, at Position) error {
	path, err := cursorPath(dir, name)
	if err != nil {
		return err
	}
	if err := makeDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("saving the cursor %s: %w", name, err)
	}
	data, _ := json.Marshal(at) // a string and a number
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("saving the cursor %s: %w", name, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = datasync(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("saving the cursor %s: %w", name, err)
	}
	return nil
}

func cursorPath(dir, name string) (string, error) {
	if name == "" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".new") || name != filepath.Base(name) {
		return "", fmt.Errorf("%q is no name of a cursor", name)
	}
	return filepath.Join(dir, cursorsDir, name), nil
}
