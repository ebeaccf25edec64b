//! The mapper's methods.

use openbmc_dbus::interface::Method;
use openbmc_dbus::mapper::{self, SubTree, association};
use zbus::wire::Variant;

use super::ObjectQuery;
use crate::fault::Fault;
use crate::part::Returned;

/// Answers one call of the mapper's interface; the types of the arguments are checked already.
pub(crate) fn call(
    query: ObjectQuery<'_>,
    method: &Method,
    arguments: &[Variant<'static>],
) -> Result<Returned, Fault> {
    let mut arguments = Arguments { method, rest: arguments.iter() };
    match *method {
        mapper::GET_OBJECT => {
            let (path, interfaces) = (arguments.text()?, arguments.texts()?);
            let owners = query.owners(&path, &interfaces);
            if owners.is_empty() {
                return Err(Fault::not_found(&path));
            }
            Ok(vec![Variant::from(owners)])
        }
        mapper::GET_ANCESTORS => {
            let (path, interfaces) = (arguments.text()?, arguments.texts()?);
            known(query, &path)?;
            Ok(vec![Variant::from(query.ancestors(&path, &interfaces))])
        }
        mapper::GET_SUB_TREE | mapper::GET_SUB_TREE_PATHS => {
            let (root, depth) = (arguments.text()?, arguments.number()?);
            known(query, &root)?;
            let found = query.sub_tree(&root, depth, &arguments.texts()?);
            Ok(vec![shape(found, *method == mapper::GET_SUB_TREE_PATHS)])
        }
        mapper::GET_ASSOCIATED_SUB_TREE | mapper::GET_ASSOCIATED_SUB_TREE_PATHS => {
            let (association, root) = (arguments.text()?, arguments.text()?);
            let (depth, interfaces) = (arguments.number()?, arguments.texts()?);
            known(query, &root)?;
            let ends = ends(query, &association);
            if ends.is_empty() {
                return Err(Fault::not_found(&association));
            }
            let mut found = query.sub_tree(&root, depth, &interfaces);
            found.retain(|path, _| ends.contains(path));
            Ok(vec![shape(found, *method == mapper::GET_ASSOCIATED_SUB_TREE_PATHS)])
        }
        _ => by_id(query, method, arguments),
    }
}

/// The two calls that look for objects by their last name and follow an association from there.
fn by_id(
    query: ObjectQuery<'_>,
    method: &Method,
    mut arguments: Arguments<'_>,
) -> Result<Returned, Fault> {
    let (id, root, at) = (arguments.text()?, arguments.text()?, arguments.texts()?);
    let (association, interfaces) = (arguments.text()?, arguments.texts()?);
    let suffix = format!("/{id}");
    let mut found = SubTree::new();
    for path in query.sub_tree(&root, 0, &at).into_keys().filter(|path| path.ends_with(&suffix)) {
        for end in ends(query, &format!("{path}/{association}")) {
            let owners = query.owners(&end, &interfaces);
            if !owners.is_empty() {
                found.insert(end, owners);
            }
        }
    }
    if found.is_empty() {
        return Err(Fault::not_found(&id));
    }
    Ok(vec![shape(found, *method == mapper::GET_ASSOCIATED_SUB_TREE_PATHS_BY_ID)])
}

fn known(query: ObjectQuery<'_>, path: &str) -> Result<(), Fault> {
    if query.knows(path) { Ok(()) } else { Err(Fault::not_found(path)) }
}

fn ends(query: ObjectQuery<'_>, association: &str) -> Vec<String> {
    query.tree.get(association, association::ENDPOINTS).unwrap_or_default()
}

fn shape(found: SubTree, only_paths: bool) -> Variant<'static> {
    if only_paths {
        Variant::from(found.into_keys().collect::<Vec<String>>())
    } else {
        Variant::from(found)
    }
}

/// The arguments of a call, one after the other.
struct Arguments<'a> {
    method: &'a Method,
    rest: std::slice::Iter<'a, Variant<'static>>,
}

impl Arguments<'_> {
    fn wrong(&self) -> Fault {
        Fault::arguments(self.method.input)
    }

    fn text(&mut self) -> Result<String, Fault> {
        match self.rest.next() {
            Some(Variant::Str(text)) => Ok(text.to_string()),
            Some(Variant::ObjectPath(path)) => Ok(path.to_string()),
            _ => Err(self.wrong()),
        }
    }

    fn number(&mut self) -> Result<i32, Fault> {
        match self.rest.next() {
            Some(Variant::I32(number)) => Ok(*number),
            _ => Err(self.wrong()),
        }
    }

    fn texts(&mut self) -> Result<Vec<String>, Fault> {
        let value = self.rest.next().cloned().ok_or_else(|| self.wrong())?;
        value.downcast().map_err(|_| self.wrong())
    }
}

#[cfg(test)]
mod tests {
    use openbmc_dbus::led::group;
    use openbmc_dbus::mapper::definitions;

    use super::*;
    use crate::associations;
    use crate::mapper::Foreign;
    use crate::tree::{Instance, Tree};

    fn tree() -> Tree {
        let mut tree = Tree::default();
        let triple = ("inventory".to_owned(), "sensors".to_owned(), "/i/board".to_owned());
        let definition =
            Instance::new(&definitions::INTERFACE).with(definitions::ASSOCIATIONS, vec![triple]);
        tree.add("sensors", "/s/temp", [definition]);
        tree.add("inventory", "/i/board", [Instance::new(&group::INTERFACE)]);
        associations::update(&mut tree);
        tree
    }

    fn ask(method: &Method, arguments: &[Variant<'static>]) -> Result<Returned, Fault> {
        let (tree, foreign) = (tree(), Foreign::default());
        call(ObjectQuery { tree: &tree, foreign: &foreign }, method, arguments)
    }

    fn none() -> Variant<'static> {
        Variant::from(Vec::<String>::new())
    }

    #[test]
    fn nothing_found_is_the_mappers_own_error() {
        let error = ask(&mapper::GET_OBJECT, &["/nowhere".into(), none()]).unwrap_err();
        assert_eq!(error.name, "xyz.openbmc_project.Common.Error.ResourceNotFound");
        let error = ask(&mapper::GET_SUB_TREE, &["/nowhere".into(), 0.into(), none()]).unwrap_err();
        assert_eq!(error.name, "xyz.openbmc_project.Common.Error.ResourceNotFound");
        // A known root with nothing that fits is an empty answer.
        let interfaces = Variant::from(vec!["x.y".to_owned()]);
        let paths = ask(&mapper::GET_SUB_TREE_PATHS, &["/i".into(), 0.into(), interfaces]);
        assert_eq!(paths, Ok(vec![none()]));
    }

    #[test]
    fn associations_lead_from_one_object_to_another() {
        let path = |path: &'static str| Variant::ObjectPath(path.try_into().unwrap());
        let board = Ok(vec![Variant::from(vec!["/i/board".to_owned()])]);
        let arguments = [path("/s/temp/inventory"), path("/i"), 0.into(), none()];
        assert_eq!(ask(&mapper::GET_ASSOCIATED_SUB_TREE_PATHS, &arguments), board);
        let arguments = ["temp".into(), "/s".into(), none(), "inventory".into(), none()];
        assert_eq!(ask(&mapper::GET_ASSOCIATED_SUB_TREE_PATHS_BY_ID, &arguments), board);
        let arguments = [path("/s/temp/nothing"), path("/i"), 0.into(), none()];
        assert!(ask(&mapper::GET_ASSOCIATED_SUB_TREE_PATHS, &arguments).is_err());
    }
}
