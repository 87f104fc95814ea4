# Begins the ledger, or adds an opening line to the one that is there.
echo "opened" >>/data/ledger.txt
