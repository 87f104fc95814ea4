# Begins the ledger, or a new day in the one that is there.
echo "opened" >>/data/ledger.txt
