// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion(p process) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  hybridge version",
		Args:    noArguments,
		Run: func(*cobra.Command, []string) {
			fmt.Fprintf(p.stdout, "hybridge %s (%s, %s/%s%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, revision())
		},
	}
}

// revision names the commit that the program was built from, if the build knew it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return ", commit " + s.Value[:min(12, len(s.Value))]
		}
	}
	return ""
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("%q takes no arguments, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}
