group "g" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    rate {
      out = "2MB"
      in  = "10MBps"
    }
    quota = "5GB"
  }
}
group "slips" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    rate {
      out = "2mbit"
      in  = "2Mb/s"
    }
    quota = 5
  }
}
group "units" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    rate {
      out = 2000000
      in  = "fast"
    }
    quota = "1KiB"
  }
}
group "bounds" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    rate {
      out = "7.999kbit"
      in  = "1001Gbit"
    }
    quota = "2000TiB"
  }
}
group "more" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    rate {
      out   = "0.5bit"
      in    = "2Mibit"
      burst = "1MiB"
    }
  }
}
group "empty" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    rate {}
  }
}
group "attribute" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    rate  = "2Mbit"
  }
}
