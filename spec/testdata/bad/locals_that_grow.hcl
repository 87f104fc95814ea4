locals {
  l0 = "0123456789abcdef0123456789abcdef"
  l1 = "${local.l0}${local.l0}${local.l0}${local.l0}"
  l2 = "${local.l1}${local.l1}${local.l1}${local.l1}"
  l3 = "${local.l2}${local.l2}${local.l2}${local.l2}"
  l4 = "${local.l3}${local.l3}${local.l3}${local.l3}"
  l5 = "${local.l4}${local.l4}${local.l4}${local.l4}"
  l6 = "${local.l5}${local.l5}${local.l5}${local.l5}"
  l7 = "${local.l6}${local.l6}${local.l6}${local.l6}"
  l8 = "${local.l7}${local.l7}${local.l7}${local.l7}"
  l9 = "${local.l8}${local.l8}${local.l8}${local.l8}"
  l10 = "${local.l9}${local.l9}${local.l9}${local.l9}"
  l11 = "${local.l10}${local.l10}${local.l10}${local.l10}"
  l12 = "${local.l11}${local.l11}${local.l11}${local.l11}"
  n0 = 1e999
  n1 = local.n0 * local.n0 * local.n0 * local.n0
  n2 = local.n1 * local.n1 * local.n1 * local.n1
  n3 = local.n2 * local.n2 * local.n2 * local.n2
  n4 = local.n3 * local.n3 * local.n3 * local.n3
  n5 = local.n4 * local.n4 * local.n4 * local.n4
  n6 = local.n5 * local.n5 * local.n5 * local.n5
}
group "g" {
  egress = "none"
  app "a" { image = "x" }
}
