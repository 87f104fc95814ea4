# An order a second on standard output, and a warning on standard error.
n=0
while :; do
  n=$((n + 1))
  echo "order $n"
  echo "stock is low after order $n" >&2
  sleep 1
done
