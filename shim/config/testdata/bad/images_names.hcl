images {
  age   = "168h"
  total = 10
}

unused = "168h"
