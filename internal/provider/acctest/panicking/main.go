// SPDX-License-Identifier: MPL-2.0

// Panicking is the provider with a bug, for tests: when a version is applied it
// panics with everything that it was given, secrets included.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
)

type server interface {
	tfprotov6.ProviderServerWithListResource
	tfprotov6.ProviderServerWithActions
}

type buggy struct{ server }

func (b buggy) ApplyResourceChange(ctx context.Context, req *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	if req.TypeName == "hybridge_worker_version" {
		panic(fmt.Sprintf("bug while applying %s", req.Config.MsgPack))
	}
	return b.server.ApplyResourceChange(ctx, req)
}

func main() {
	err := tf6server.Serve(provider.Address, func() tfprotov6.ProviderServer {
		real, ok := provider.Server("test", os.Getenv)().(server)
		if !ok {
			log.Fatal("the provider lacks a part of the protocol")
		}
		return tfkit.Recovering(buggy{real})
	})
	if err != nil {
		log.Fatal(err)
	}
}
