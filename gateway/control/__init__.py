"""One process a line: PLC link, tracker, inference, verdicts and the writer. No SCADA, web, statistics or actions here."""
