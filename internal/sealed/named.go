// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// RuleNames reports whether the first creation rule that fits a file at target
// names it by a path_regex: then the file is meant to be encrypted. A rule without
// one fits every file, and so says nothing about what a file is for.
func RuleNames(config, target string) (bool, error) {
	text, err := os.ReadFile(config)
	if err != nil {
		return false, unreadable(config, err)
	}
	var c struct {
		Rules []struct {
			PathRegex string `yaml:"path_regex"`
		} `yaml:"creation_rules"`
	}
	if yaml.Unmarshal(text, &c) != nil {
		return false, &Error{Code: BadCreationRule, File: config}
	}
	from, err := filepath.Abs(filepath.Dir(config))
	if err != nil {
		return false, unreadable(config, err)
	}
	absolute, err := filepath.Abs(target)
	if err != nil {
		return false, unreadable(target, err)
	}
	relative, err := filepath.Rel(from, absolute)
	if err != nil {
		relative = absolute
	}
	for i, rule := range c.Rules {
		fits, err := regexp.MatchString(rule.PathRegex, filepath.ToSlash(relative))
		switch {
		case err != nil:
			return false, &Error{Code: BadCreationRule, File: config, Detail: fmt.Sprintf("path_regex of rule %d", i+1)}
		case fits:
			return rule.PathRegex != "", nil
		}
	}
	return false, nil
}
