-- A connection keeps the plan of a trigger's query, and one that was made while there were few entries read all of them for each that was sealed since.
ALTER FUNCTION refuse_unsealed_audit() SET enable_seqscan = off;
