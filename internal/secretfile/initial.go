// SPDX-License-Identifier: MPL-2.0

package secretfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// DefaultPathRegex fits files like prod.enc.yaml.
const DefaultPathRegex = `\.enc\.(ya?ml|json|env|ini)$`

// DefaultKeyFile is where SOPS looks for age identities by itself.
func DefaultKeyFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", errors.New("there is no configuration directory, as neither HOME nor XDG_CONFIG_HOME is set: name a file with --key")
	}
	return filepath.Join(dir, "sops", "age", "keys.txt"), nil
}

// Key is a file with one age identity.
type Key struct {
	Path      string
	Recipient string
	Made      bool // it was not there before
	Tracked   bool // it lies in a working copy of git
}

// EnsureKey returns the key at path, and makes one if there is no file. An
// existing file is never changed.
func EnsureKey(path string, now time.Time) (Key, error) {
	key := Key{Path: path, Tracked: belowGit(path)}
	if _, err := os.Lstat(path); err == nil {
		key.Recipient, err = recipientOf(path)
		return key, err
	}
	text, recipient, err := sealed.NewAgeKey(now)
	if err != nil {
		return Key{}, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return Key{}, unwritable(path, err)
	}
	// Exclusively: what appeared meanwhile stays, and a link is not followed.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Key{}, unwritable(path, err)
	}
	_, err = f.WriteString(text.Reveal())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path) // half a key is none
		return Key{}, unwritable(path, err)
	}
	key.Recipient, key.Made = recipient, true
	return key, syncDir(filepath.Dir(path))
}

// recipientOf reads whom a key file makes a recipient.
func recipientOf(path string) (string, error) {
	text, err := sealed.ReadKeyFile(path)
	if err != nil {
		return "", err
	}
	identities, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil { // it can quote the line
		return "", fmt.Errorf("%s exists and is no file of age identities: name another file with --key", path)
	}
	if len(identities) != 1 {
		return "", fmt.Errorf("%s holds %d identities, and one of them may have leaked: name a file with one, or a new one, with --key", path, len(identities))
	}
	switch id := identities[0].(type) {
	case *age.X25519Identity:
		return id.Recipient().String(), nil
	case *age.HybridIdentity:
		return id.Recipient().String(), nil
	default:
		return "", fmt.Errorf("%s holds an identity whose recipient cannot be told: name another file with --key", path)
	}
}

// belowGit reports whether a commit could take the file along.
func belowGit(path string) bool {
	dir, err := filepath.Abs(filepath.Dir(path))
	for err == nil {
		if _, statErr := os.Stat(filepath.Join(dir, ".git")); statErr == nil {
			return true
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	return false
}

// Rule is a creation rule in SOPS' configuration file.
type Rule struct {
	Config string
	Made   bool // the file was not there before
	Named  bool // the file names the recipient already
	// Lines are the rule as it stands, or should stand, under creation_rules.
	Lines string
}

// ConfigHere is the configuration file that SOPS takes in the working directory: the
// nearest one above, which one in this directory would hide; else that to be made.
func ConfigHere() string {
	found := sealed.FindConfig(".")
	if here, err := filepath.Abs(sealed.ConfigName); err != nil || found == "" || found == here {
		return sealed.ConfigName
	}
	return found
}

// CheckPathRegex reports a text that cannot say which paths a rule is for.
func CheckPathRegex(text string) error {
	if _, err := regexp.Compile(text); err != nil || text == "" || strings.ContainsAny(text, "\r\n") {
		return errors.New("--path-regex is no regular expression: write it like '" + DefaultPathRegex + "'")
	}
	return nil
}

// EnsureRule makes a configuration file with a rule that gives the files which
// pathRegex fits to a recipient. An existing file is never changed.
func EnsureRule(config, pathRegex, recipient string) (Rule, error) {
	if err := CheckPathRegex(pathRegex); err != nil {
		return Rule{}, err
	}
	r := Rule{Config: config, Lines: "  - path_regex: '" + strings.ReplaceAll(pathRegex, "'", "''") + "'\n    age: " + recipient + "\n"}
	f, err := os.OpenFile(config, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		text, err := os.ReadFile(config)
		if err != nil {
			return Rule{}, fmt.Errorf("reading %s: %w", config, bare(err))
		}
		r.Named = bytes.Contains(text, []byte(recipient))
		return r, nil
	}
	if err != nil {
		return Rule{}, unwritable(config, err)
	}
	_, err = f.WriteString("creation_rules:\n" + r.Lines)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(config)
		return Rule{}, unwritable(config, err)
	}
	r.Made = true
	return r, nil
}
