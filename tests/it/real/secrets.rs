//! Of a whole run at the most talkative level, nothing tells a secret.
