// SPDX-License-Identifier: MPL-2.0

// Schema prints the provider's schemas as `terraform providers schema -json`
// would, for the documentation generator.
package main

import (
	"context"
	"log"
	"os"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/schemajson"
)

func main() {
	text, err := schemajson.Marshal(context.Background(), "hybridge", provider.Server("schema", os.Getenv)())
	if err != nil {
		log.Fatalf("writing the schemas: %v", err)
	}
	if _, err := os.Stdout.Write(append(text, '\n')); err != nil {
		log.Fatalf("writing the schemas: %v", err)
	}
}
