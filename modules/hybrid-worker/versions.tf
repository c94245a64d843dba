terraform {
  required_version = ">= 1.11"

  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}
