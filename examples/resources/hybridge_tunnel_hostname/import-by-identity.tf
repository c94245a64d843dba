import {
  to = hybridge_tunnel_hostname.app
  identity = {
    account_id = "0123456789abcdef0123456789abcdef"
    zone_id    = "fedcba9876543210fedcba9876543210"
    record_id  = "00112233445566778899aabbccddeeff"
  }
}
