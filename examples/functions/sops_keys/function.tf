locals {
  text = file("${path.module}/secrets.enc.yaml")
}

# What the file has, with a fingerprint of each secret; no key is needed.
output "fingerprints" {
  value = { for key in provider::hybridge::sops_keys(local.text) : key => provider::hybridge::sops_fingerprint(local.text, key) }
}

output "names" {
  value = join(" ", provider::hybridge::sops_keys(local.text))
}
