// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"path/filepath"
	"regexp"
	"strings"
)

// Format is how a file is written.
type Format string

// The formats of SOPS.
const (
	YAML   Format = "yaml"
	JSON   Format = "json"
	Dotenv Format = "dotenv"
	INI    Format = "ini"
	Binary Format = "binary" // any bytes, as one value in a JSON envelope
)

// Formats are all of them, for messages and validation.
func Formats() []string {
	return []string{string(YAML), string(JSON), string(Dotenv), string(INI), string(Binary)}
}

// FormatOf is the format that SOPS takes a file for by the ending of its name.
func FormatOf(path string) Format {
	switch name := filepath.Base(path); {
	case strings.HasSuffix(name, ".yaml"), strings.HasSuffix(name, ".yml"):
		return YAML
	case strings.HasSuffix(name, ".json"):
		return JSON
	case strings.HasSuffix(name, ".env"):
		return Dotenv
	case strings.HasSuffix(name, ".ini"):
		return INI
	default:
		return Binary
	}
}

var (
	iniSection   = regexp.MustCompile(`(?m)^\[sops\]\s*$`)
	dotenvMember = regexp.MustCompile(`(?m)^sops_(mac|version|lastmodified)=`)
)

// Sniff tells the format of an encrypted file from its text, for callers that
// have no name. What is like none of the others is YAML.
func Sniff(text string) Format {
	switch {
	case strings.HasPrefix(strings.TrimSpace(text), "{"):
		return JSON
	case iniSection.MatchString(text):
		return INI
	case dotenvMember.MatchString(text):
		return Dotenv
	default:
		return YAML
	}
}
