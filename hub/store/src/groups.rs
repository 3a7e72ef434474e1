//! Groups that were made by the API, beside those of the account directory. Their members' accounts
//! carry them, without a number: on the hosts they are nothing.

use std::collections::BTreeMap;

use berth_common::{Timestamp, Username};
use rusqlite::{OptionalExtension, params};
use serde_json::{Map, Value};

use crate::fleet::{json, parse};
use crate::{Database, Reader, StoreError};

impl Database {
    /// Makes a group without members. False if there is one of this name.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn make_group(&mut self, name: &str, at: Timestamp) -> Result<bool, StoreError> {
        let sql =
            "INSERT OR IGNORE INTO made_groups (name, properties, created) VALUES (?1, '{}', ?2)";
        Ok(self.connection.execute(sql, params![name, at.0])? > 0)
    }

    /// Removes a group, and takes it from its members' accounts. True if there was one.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn remove_group(&mut self, name: &str) -> Result<bool, StoreError> {
        let members: Vec<String> = {
            let sql = "SELECT user FROM made_group_members WHERE name = ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([name], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for member in members {
            self.take_from_account(name, &member)?;
        }
        Ok(self.connection.execute("DELETE FROM made_groups WHERE name = ?1", [name])? > 0)
    }

    /// Puts somebody into a group that was made. False if the person is in it already.
    ///
    /// # Errors
    /// SQLite's own, also when there is no such group or person.
    pub fn add_member(&mut self, group: &str, user: &Username) -> Result<bool, StoreError> {
        let sql = "INSERT INTO made_group_members (name, user) VALUES (?1, ?2)
                   ON CONFLICT DO NOTHING";
        let added = self.connection.execute(sql, params![group, user.as_str()])? > 0;
        self.connection.execute(
            "UPDATE users SET groups = json_insert(groups, '$[#]', json_object('name', ?1, 'gid', 0))
             WHERE name = ?2 AND NOT EXISTS
                 (SELECT 1 FROM json_each(users.groups) WHERE value ->> 'name' = ?1)",
            params![group, user.as_str()],
        )?;
        Ok(added)
    }

    /// Takes somebody out of a group that was made. False if the person was not in it.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn remove_member(&mut self, group: &str, user: &Username) -> Result<bool, StoreError> {
        let sql = "DELETE FROM made_group_members WHERE name = ?1 AND user = ?2";
        let removed = self.connection.execute(sql, params![group, user.as_str()])? > 0;
        if removed {
            self.take_from_account(group, user.as_str())?;
        }
        Ok(removed)
    }

    /// What has a number is the directory's and stays.
    fn take_from_account(&mut self, group: &str, user: &str) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE users SET groups =
                 (SELECT json_group_array(json(value)) FROM json_each(users.groups)
                  WHERE NOT (value ->> 'name' = ?1 AND value ->> 'gid' = 0))
             WHERE name = ?2",
            params![group, user],
        )?;
        Ok(())
    }

    /// Replaces the properties of a group. True if there is such a group.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn set_properties(
        &mut self,
        group: &str,
        properties: &Map<String, Value>,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE made_groups SET properties = ?2 WHERE name = ?1";
        let properties = json(properties, "made_groups")?;
        Ok(self.connection.execute(sql, params![group, properties])? > 0)
    }
}

impl Reader {
    /// All groups that were made, with their properties.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn made_groups(&self) -> Result<BTreeMap<String, Map<String, Value>>, StoreError> {
        let sql = "SELECT name, properties FROM made_groups";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        rows.map(|row| {
            let (name, properties) = row?;
            Ok((name, parse(&properties, "made_groups")?))
        })
        .collect()
    }

    /// The made groups that somebody is in.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn made_groups_of(&self, user: &Username) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT name FROM made_group_members WHERE user = ?1 ORDER BY name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([user.as_str()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a source of the directory has named this group in somebody's account, and which.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn source_of_group(&self, name: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT source FROM directory WHERE EXISTS
                       (SELECT 1 FROM json_each(body, '$.groups') WHERE value ->> 'name' = ?1)
                   LIMIT 1";
        Ok(self.connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?)
    }
}
